"""The engines of the task `upscaling`, each imported where it is chosen."""

from serve_app.core.image.upscaling import Upscaler
from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.image import LanczosOptions, SpandrelOptions, Swin2srOptions
from serve_app.family.engines.given import Given


def engine(
    options: Swin2srOptions | SpandrelOptions | LanczosOptions | FakeOptions, given: Given
) -> Upscaler:
    match options:
        case Swin2srOptions():
            from deployments.image.swin2sr_upscaling import Swin2srUpscaling

            return Swin2srUpscaling(options, **given.common)
        case SpandrelOptions():
            from deployments.image.spandrel_upscaling import SpandrelUpscaling

            return SpandrelUpscaling(options, **given.common)
        case LanczosOptions():
            from deployments.image.lanczos_upscaling import LanczosUpscaling

            return LanczosUpscaling(options, **given.common)
        case FakeOptions():
            from deployments.fakes.vision import FakeUpscaling

            return FakeUpscaling(options, **given.common)
