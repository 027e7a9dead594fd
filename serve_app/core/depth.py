"""Depth: how far away what a picture shows is."""

from collections.abc import AsyncIterator
from typing import Protocol

from pydantic import Field

from serve_app.core.images import MAX_PIXELS, Size
from serve_app.core.media import Blob, Facts, MediaResult
from serve_app.core.message import Message, Progress


class EstimateDepth(Message):
    """Tell how far away everything in `image` is, which may have at most `max_pixels`."""

    model: str
    image: Blob
    max_pixels: int = Field(default=MAX_PIXELS, ge=1)


class DepthMap(MediaResult):
    """An 8-bit grey PNG of the image's size: 255 is the nearest point, 0 the farthest."""

    depth: Blob
    size: Size

    def facts(self) -> dict[str, Facts]:
        """See MediaResult."""
        return {self.depth.sha256: Facts(width=self.size.width, height=self.size.height)}


DepthEvent = Progress | DepthMap


class DepthEstimator(Protocol):
    """Estimates depth."""

    def estimate_depth(self, request: EstimateDepth) -> AsyncIterator[DepthEvent]:
        """Last the result. PayloadTooLarge with `param` `image`."""
        ...
