"""Upscaling: pictures made larger."""

from collections.abc import AsyncIterator
from typing import Literal, Protocol

from pydantic import Field

from serve_app.core.images import MAX_PIXELS, Size
from serve_app.core.media import Blob, Facts, MediaResult
from serve_app.core.message import Message, Progress

Scale = Literal[2, 3, 4, 8]


class UpscaleImage(Message):
    """Make `image` exactly `scale` times as wide and as high. Without `allows_resize` only a
    trained engine may do it. Neither the image nor the result may have more than `max_pixels`.
    """

    model: str
    image: Blob
    scale: Scale = 4
    allows_resize: bool = False
    max_pixels: int = Field(default=MAX_PIXELS, ge=1)


class UpscaledImage(MediaResult):
    """A PNG with the image's transparency; `engine` is what made it."""

    image: Blob
    size: Size
    engine: str

    def facts(self) -> dict[str, Facts]:
        """See MediaResult."""
        return {self.image.sha256: Facts(width=self.size.width, height=self.size.height)}


UpscaleEvent = Progress | UpscaledImage


class Upscaler(Protocol):
    """Makes pictures larger."""

    def upscale(self, request: UpscaleImage) -> AsyncIterator[UpscaleEvent]:
        """Progress in tiles, last the result. BackendUnavailable when the engine only resizes and
        the request does not allow that; PayloadTooLarge with `param` `image` or `scale`.
        """
        ...
