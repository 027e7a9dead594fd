"""Videos that were made of videos frame by frame: larger, smoother, for two eyes."""

from typing_extensions import override

from serve_app.core.image.images import Size
from serve_app.core.media import Blob, MediaFacts, MediaResult


class RemadeVideo(MediaResult):
    """An MP4 with H.264 in yuv420p, with the source's audio. `size` has even sides."""

    video: Blob
    size: Size
    fps: float
    num_frames: int
    duration_s: float

    @override
    def facts(self) -> dict[str, MediaFacts]:
        return {
            self.video.sha256: MediaFacts(
                width=self.size.width, height=self.size.height, duration_s=self.duration_s
            )
        }
