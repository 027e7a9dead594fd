"""The engines of the task `interpolation`, each imported where it is chosen."""

from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.video import AnyInterpolationOptions
from serve_app.core.video.interpolation import Interpolator
from serve_app.family.engines.given import EngineSetup


def engine(options: AnyInterpolationOptions | FakeOptions, given: EngineSetup) -> Interpolator:
    match options.engine:
        case "optical_flow":
            from deployments.video.flow_interpolation import FlowInterpolation

            return FlowInterpolation(options, **given.common)
        case "rife":
            from deployments.video.rife_interpolation import RifeInterpolation

            return RifeInterpolation(options, **given.common)
        case "fake":
            from deployments.fakes.interpolation import FakeInterpolation

            return FakeInterpolation(options, **given.common)
