"""The engines of the task `segmentation`, each imported where it is chosen."""

from serve_app.core.image.segmentation import SegmentationModel
from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.image import AnySegmentationOptions
from serve_app.family.engines.given import EngineSetup


def engine(options: AnySegmentationOptions | FakeOptions, given: EngineSetup) -> SegmentationModel:
    match options.engine:
        case "transformers":
            from deployments.image.transformers_segmentation import TransformersSegmentation

            return TransformersSegmentation(options, **given.common)
        case "grabcut":
            from deployments.image.grabcut import GrabcutSegmentation

            return GrabcutSegmentation(options, **given.common)
        case "u2net":
            from deployments.image.u2net import U2netSegmentation

            return U2netSegmentation(options, **given.common)
        case "fake":
            from deployments.fakes.segmentation import FakeSegmentation

            return FakeSegmentation(options, **given.common)
