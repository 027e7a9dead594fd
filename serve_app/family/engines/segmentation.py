"""The engines of the task `segmentation`, each imported where it is chosen."""

from serve_app.core.image.segmentation import SegmentationModel
from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.image import GrabcutOptions
from serve_app.core.options.text import TransformersOptions
from serve_app.family.engines.given import Given


def engine(
    options: TransformersOptions | GrabcutOptions | FakeOptions, given: Given
) -> SegmentationModel:
    match options:
        case TransformersOptions():
            from deployments.image.transformers_segmentation import TransformersSegmentation

            return TransformersSegmentation(options, **given.common)
        case GrabcutOptions():
            from deployments.image.grabcut import GrabcutSegmentation

            return GrabcutSegmentation(options, **given.common)
        case FakeOptions():
            from deployments.fakes.segmentation import FakeSegmentation

            return FakeSegmentation(options, **given.common)
