"""The engines of the task `depth`, each imported where it is chosen."""

from serve_app.core.image.depth import DepthEstimator
from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.image import AnyDepthOptions
from serve_app.family.engines.given import EngineSetup


def engine(options: AnyDepthOptions | FakeOptions, given: EngineSetup) -> DepthEstimator:
    match options.engine:
        case "transformers":
            from deployments.image.transformers_depth import TransformersDepth

            return TransformersDepth(options, **given.common)
        case "fake":
            from deployments.fakes.vision import FakeDepth

            return FakeDepth(options, **given.common)
