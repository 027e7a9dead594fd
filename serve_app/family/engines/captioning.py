"""The engines of the task `captioning`, each imported where it is chosen."""

from serve_app.core.image.captioning import ImageDescriber
from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.image import AnyCaptioningOptions
from serve_app.family.engines.given import EngineSetup


def engine(options: AnyCaptioningOptions | FakeOptions, given: EngineSetup) -> ImageDescriber:
    match options.engine:
        case "transformers":
            from deployments.image.transformers_captioning import TransformersCaptioning

            return TransformersCaptioning(options, **given.common)
        case "fake":
            from deployments.fakes.vision import FakeCaptions

            return FakeCaptions(options, **given.common)
