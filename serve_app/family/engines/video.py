"""The engines of each task of video: one function per task, one `case` per engine. Each engine is
imported where it is chosen, so that nothing heavy is imported before.
"""

from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.video import (
    AvOptions,
    CameraMovesOptions,
    DiffusersVideoOptions,
    OpticalFlowOptions,
    RifeOptions,
)
from serve_app.family.engines.given import Given
from serve_app.family.engines.protocols import InterpolationEngine, MediaEngine, VideoEngine


def video(
    options: DiffusersVideoOptions | CameraMovesOptions | FakeOptions, given: Given
) -> VideoEngine:
    match options:
        case DiffusersVideoOptions():
            from deployments.video.diffusers_video import DiffusersVideo

            return DiffusersVideo(options, **given.common)
        case CameraMovesOptions():
            from deployments.video.camera_moves import CameraMoves

            return CameraMoves(options, **given.common)
        case FakeOptions():
            from deployments.fakes.video import FakeVideo

            return FakeVideo(options, **given.common)


def interpolation(
    options: OpticalFlowOptions | RifeOptions | FakeOptions, given: Given
) -> InterpolationEngine:
    match options:
        case OpticalFlowOptions():
            from deployments.video.flow_interpolation import FlowInterpolation

            return FlowInterpolation(options, **given.common)
        case RifeOptions():
            from deployments.video.rife_interpolation import RifeInterpolation

            return RifeInterpolation(options, **given.common)
        case FakeOptions():
            from deployments.fakes.interpolation import FakeInterpolation

            return FakeInterpolation(options, **given.common)


def media(options: AvOptions | FakeOptions, given: Given) -> MediaEngine:
    match options:
        case AvOptions():
            from deployments.video.av_media import AvMedia

            return AvMedia(options, **given.common)
        case FakeOptions():
            from deployments.fakes.engine import FakeMedia

            return FakeMedia(options, **given.common)
