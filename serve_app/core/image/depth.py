"""Depth: how far away what an image shows is, and stereoscopic videos made with it."""

from collections.abc import AsyncIterator, Mapping
from typing import Literal, Protocol

from pydantic import Field
from typing_extensions import override

from serve_app.core.engine import Engine
from serve_app.core.image.images import MAX_PIXELS, Size
from serve_app.core.image.remade_videos import RemadeVideo
from serve_app.core.media import Blob, MediaFacts, MediaResult
from serve_app.core.message import Progress
from serve_app.core.operation import Operation

DepthMethod = Literal["midas", "zoe", "depth-anything"]

METHODS: Mapping[str, DepthMethod] = {
    "dpt": "midas",
    "zoedepth": "zoe",
    "depth_anything": "depth-anything",
}
"""By the `model_type` of a checkpoint's configuration; DPT is what MiDaS has been since 3.0."""


class DepthMap(MediaResult):
    """An 8-bit grey PNG of the image's size: 255 is the nearest point, 0 the farthest."""

    depth: Blob
    size: Size

    @override
    def facts(self) -> dict[str, MediaFacts]:
        return {self.depth.sha256: MediaFacts(width=self.size.width, height=self.size.height)}


DepthEvent = Progress | DepthMap


class StereoVideo(RemadeVideo):
    """An MP4 with H.264 in yuv420p: what the left eye sees to the left of what the right eye sees,
    each in the video's own size where H.264 allows it, else at half the width. Frames are shown
    when those of the source are, with its audio; `fps` is the average.
    """


class ConvertToStereo(Operation[StereoVideo]):
    """Make `video` stereoscopic. A model that is not known to be of the kind `method` is used all
    the same, which the warnings say. Videos of more than `max_duration_s` are refused.
    """

    name, task, verb = "video.stereo", "depth", "convert_to_stereo"

    model: str
    video: Blob
    method: DepthMethod | None = None
    max_duration_s: float = Field(default=7200, gt=0)


class EstimateDepth(Operation[DepthMap]):
    """Tell how far away everything in `image` is, which may have at most `max_pixels`."""

    name, task, verb = "image.depth", "depth", "estimate_depth"

    model: str
    image: Blob
    max_pixels: int = Field(default=MAX_PIXELS, ge=1)


StereoEvent = Progress | StereoVideo


class DepthEstimator(Engine, Protocol):
    """Estimates depth."""

    def estimate_depth(self, request: EstimateDepth) -> AsyncIterator[DepthEvent]:
        """Last the result. PayloadTooLarge with `param` `image`."""
        ...

    def convert_to_stereo(self, request: ConvertToStereo) -> AsyncIterator[StereoEvent]:
        """Progress in frames, last the video. InvalidRequest and PayloadTooLarge with `param`
        `video`.
        """
        ...
