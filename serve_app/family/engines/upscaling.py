"""The engines of the task `upscaling`, each imported where it is chosen."""

from serve_app.core.image.upscaling import Upscaler
from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.image import AnyUpscalingOptions
from serve_app.family.engines.given import EngineSetup


def engine(options: AnyUpscalingOptions | FakeOptions, given: EngineSetup) -> Upscaler:
    match options.engine:
        case "swin2sr":
            from deployments.image.swin2sr_upscaling import Swin2srUpscaling

            return Swin2srUpscaling(options, **given.common)
        case "spandrel":
            from deployments.image.spandrel_upscaling import SpandrelUpscaling

            return SpandrelUpscaling(options, **given.common)
        case "ncnn":
            from deployments.image.ncnn_upscaling import NcnnUpscaling

            return NcnnUpscaling(options, **given.common)
        case "lanczos":
            from deployments.image.lanczos_upscaling import LanczosUpscaling

            return LanczosUpscaling(options, **given.common)
        case "fake":
            from deployments.fakes.vision import FakeUpscaling

            return FakeUpscaling(options, **given.common)
