"""The engines of the task `captioning`, each imported where it is chosen."""

from serve_app.core.image.captioning import ImageDescriber
from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.text import TransformersOptions
from serve_app.family.engines.given import Given


def engine(options: TransformersOptions | FakeOptions, given: Given) -> ImageDescriber:
    match options:
        case TransformersOptions():
            from deployments.image.transformers_captioning import TransformersCaptioning

            return TransformersCaptioning(options, **given.common)
        case FakeOptions():
            from deployments.fakes.vision import FakeCaptions

            return FakeCaptions(options, **given.common)
