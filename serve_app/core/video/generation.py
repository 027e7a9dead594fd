"""Video: prompts, images and videos to new videos."""

from collections.abc import AsyncIterator
from typing import Literal, Protocol

from pydantic import Field
from typing_extensions import override

from serve_app.core.engine import Engine
from serve_app.core.image.images import Size
from serve_app.core.media import Blob, MediaFacts, MediaResult
from serve_app.core.message import Message, Progress
from serve_app.core.operation import Operation

VideoMode = Literal["t2v", "i2v", "ti2v", "v2v", "interp", "extend"]
CameraMotion = Literal[
    "zoom-in", "zoom-out", "pan-left", "pan-right", "tilt-up", "tilt-down", "rotate"
]
VideoQuality = Literal["draft", "fast", "best"]
Offload = Literal["sequential", "model", "none"]
Continuation = Literal["native", "chained", "none"]

MODE_NAMES: dict[VideoMode, str] = {
    "t2v": "text to video",
    "i2v": "image to video",
    "ti2v": "text and image to video",
    "v2v": "video to video",
    "interp": "from one image to another",
    "extend": "a continued video",
}


class VideoFacts(Message):
    """What a model can make. Legal numbers of frames are `frame_base` + k times `frame_step`; one
    rendering has at most `max_frames_per_render`, and `max_frames` (None: any number) are reached
    by further ones. `continuation` says how: `native` models go on from several of their own
    frames, `chained` ones animate the last frame, which is `cond_frames`. `segment_frames` is what
    a segment has when nobody says. Sides are multiples of `side_multiple` pixels.
    """

    family: str
    modes: tuple[VideoMode, ...]
    native_fps: float
    frame_base: int
    frame_step: int
    min_frames: int
    max_frames: int | None
    max_frames_per_render: int
    segment_frames: int
    cond_frames: int
    side_multiple: int
    continuation: Continuation


class GeneratedVideo(MediaResult):
    """An MP4 with H.264 in yuv420p, playable from its first bytes."""

    video: Blob
    size: Size
    fps: float
    num_frames: int
    duration_s: float
    seed: int

    @override
    def facts(self) -> dict[str, MediaFacts]:
        return {
            self.video.sha256: MediaFacts(
                seed=self.seed,
                width=self.size.width,
                height=self.size.height,
                duration_s=self.duration_s,
            )
        }


class GenerateVideo(Operation[GeneratedVideo]):
    """Make one video. None means the model's own, for `size` with a video that of the video.

    Modes: t2v shows `prompt`, or animates an `image` that was generated from it; i2v and ti2v
    animate `image`; interp goes from `image` to `end_image`; v2v makes `video` anew, the farther
    from it the nearer `strength` is to 1; extend goes on from the end of `video`, and the result
    begins with it.

    `num_frames` is the length of a segment. `num_segments` are chained, each from the last
    `num_cond_frames` of the one before; `duration_s` is the length of the whole. `cond_frames` are
    images that the video is to go on from.
    """

    name, task, verb = "video.rendering", "video", "generate_video"

    model: str
    mode: VideoMode = "t2v"
    prompt: str = ""
    negative_prompt: str | None = None
    image: Blob | None = None
    end_image: Blob | None = None
    video: Blob | None = None
    cond_frames: tuple[Blob, ...] = ()
    strength: float | None = Field(default=None, ge=0, le=1)
    size: Size | None = None
    num_frames: int | None = Field(default=None, ge=1)
    num_segments: int | None = Field(default=None, ge=1)
    num_cond_frames: int | None = Field(default=None, ge=1)
    duration_s: float | None = Field(default=None, gt=0)
    fps: float | None = Field(default=None, gt=0)
    steps: int | None = Field(default=None, ge=1)
    guidance_scale: float | None = None
    quality: VideoQuality | None = None
    camera_motion: CameraMotion | None = None
    seed: int
    offload: Offload | None = None


VideoEvent = Progress | GeneratedVideo


class VideoModel(Engine, Protocol):
    """Makes videos."""

    def generate_video(self, request: GenerateVideo) -> AsyncIterator[VideoEvent]:
        """Progress in steps or frames, then the video. UnsupportedCapability with `param` for what
        the model cannot do, before it works.
        """
        ...
