"""Videos put together from scenes."""

from pydantic import Field

from serve_app.core.image.images import Size
from serve_app.core.media import Blob
from serve_app.core.message import Message
from serve_app.core.operation import Operation


class VideoScene(Message):
    """What is seen and heard from one cut to the next: a clip, or a still. It lasts until the clip
    is over and `narration`, which takes `narration_s` seconds, is spoken; a clip that is shorter
    stays on its last frame.
    """

    image: Blob
    clip: Blob | None = None
    narration: Blob | None = None
    narration_s: float = Field(default=0.0, ge=0)


class AssembledVideo(Message):
    """An MP4 with H.264 in yuv420p, playable from its first bytes. `starts_s` is the second at
    which each scene begins, `audio` what is heard as WAV, None in a silent video.
    """

    video: Blob
    audio: Blob | None
    size: Size
    fps: float
    num_frames: int
    duration_s: float
    starts_s: tuple[float, ...]


class AssembleVideo(Operation[AssembledVideo]):
    """Cut scenes together. Images and clips cover `size`, whose sides are even, and are cropped
    at their centre.
    """

    name, task, verb = "media.assemble", "media", "assemble_video"
    answers_once = True

    scenes: tuple[VideoScene, ...] = Field(min_length=1)
    size: Size
    fps: float = Field(gt=0)
