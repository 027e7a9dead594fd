"""The engines of the task `images`, each imported where it is chosen."""

from serve_app.core.image.image_model import ImageModel
from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.image import AnyImagesOptions
from serve_app.family.engines.given import EngineSetup


def engine(options: AnyImagesOptions | FakeOptions, given: EngineSetup) -> ImageModel:
    match options.engine:
        case "diffusers":
            from deployments.image.diffusers_images import DiffusersImages

            return DiffusersImages(options, **given.common, locate=given.located)
        case "poster":
            from deployments.image.poster_images import PosterImages

            return PosterImages(options, **given.common)
        case "fake":
            from deployments.fakes.images import FakeImages

            return FakeImages(options, **given.common)
