"""Upscaling: images and videos made larger."""

from collections.abc import AsyncIterator
from typing import Literal, Protocol

from pydantic import Field
from typing_extensions import override

from serve_app.core.engine import Engine
from serve_app.core.image.images import MAX_PIXELS, ImageFormat, Size
from serve_app.core.image.remade_videos import RemadeVideo
from serve_app.core.media import Blob, MediaFacts, MediaResult
from serve_app.core.message import Progress
from serve_app.core.operation import Operation

Scale = Literal[2, 3, 4, 8]
VideoFactor = Literal[2, 3, 4]


class UpscaledImage(MediaResult):
    """Where the format has it, with the image's transparency; `engine` is what made it."""

    image: Blob
    size: Size
    engine: str

    @override
    def facts(self) -> dict[str, MediaFacts]:
        return {self.image.sha256: MediaFacts(width=self.size.width, height=self.size.height)}


UpscaleEvent = Progress | UpscaledImage


class UpscaledVideo(RemadeVideo):
    """An MP4 with H.264 in yuv420p, its frames shown when those of the source are, with the
    source's audio. `size` has even sides; `fps` is the average; `engine` is what made it.
    """

    engine: str


class UpscaleVideo(Operation[UpscaledVideo]):
    """Make every frame of `video` `factor` times as wide and as high; the rest is as in
    UpscaleImage. Videos of more than `max_duration_s` are refused.
    """

    name, task, verb = "video.upscale", "upscaling", "upscale_video"

    model: str
    video: Blob
    factor: VideoFactor = 2
    allows_resize: bool = False
    max_duration_s: float = Field(default=7200, gt=0)


class UpscaleImage(Operation[UpscaledImage]):
    """Make `image` exactly `scale` times as wide and as high. Without `allows_resize` only a
    trained engine may do it. Neither the image nor the result may have more than `max_pixels`.
    `compression` is the quality of jpeg and webp, 0 to 100.
    """

    name, task, verb = "image.upscale", "upscaling", "upscale"

    model: str
    image: Blob
    scale: Scale = 4
    allows_resize: bool = False
    format: ImageFormat = "png"
    compression: int = Field(default=95, ge=0, le=100)
    max_pixels: int = Field(default=MAX_PIXELS, ge=1)


VideoUpscaleEvent = Progress | UpscaledVideo


class Upscaler(Engine, Protocol):
    """Makes images and videos larger."""

    def upscale(self, request: UpscaleImage) -> AsyncIterator[UpscaleEvent]:
        """Progress in tiles, last the result. BackendUnavailable when the engine only resizes and
        the request does not allow that; PayloadTooLarge with `param` `image` or `scale`.
        """
        ...

    def upscale_video(self, request: UpscaleVideo) -> AsyncIterator[VideoUpscaleEvent]:
        """Progress in frames, last the video. Raises as `upscale`, with `param` `video` or
        `factor`; InvalidRequest for what is no video.
        """
        ...
