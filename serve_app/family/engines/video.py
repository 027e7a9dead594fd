"""The engines of the task `video`, each imported where it is chosen."""

from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.video import AnyVideoOptions
from serve_app.core.video.generation import VideoModel
from serve_app.family.engines.given import EngineSetup


def engine(options: AnyVideoOptions | FakeOptions, given: EngineSetup) -> VideoModel:
    match options.engine:
        case "diffusers_video":
            from deployments.video.diffusers_video import DiffusersVideo

            return DiffusersVideo(options, **given.common)
        case "camera_moves":
            from deployments.video.camera_moves import CameraMoves

            return CameraMoves(options, **given.common)
        case "fake":
            from deployments.fakes.video import FakeVideo

            return FakeVideo(options, **given.common)
