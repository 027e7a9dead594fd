"""The engines of the task `depth`, each imported where it is chosen."""

from serve_app.core.image.depth import DepthEstimator
from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.text import TransformersOptions
from serve_app.family.engines.given import Given


def engine(options: TransformersOptions | FakeOptions, given: Given) -> DepthEstimator:
    match options:
        case TransformersOptions():
            from deployments.image.transformers_depth import TransformersDepth

            return TransformersDepth(options, **given.common)
        case FakeOptions():
            from deployments.fakes.vision import FakeDepth

            return FakeDepth(options, **given.common)
