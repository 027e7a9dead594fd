"""Captioning: an image in words."""

from collections.abc import AsyncIterator
from typing import Protocol

from pydantic import Field

from serve_app.core.engine import Engine
from serve_app.core.image.images import MAX_PIXELS
from serve_app.core.media import Blob
from serve_app.core.message import Message, Progress
from serve_app.core.notices import Notice
from serve_app.core.operation import Operation


class ImageDescription(Message):
    """A caption or an answer. `warnings` are soft failures."""

    text: str
    warnings: tuple[Notice, ...] = ()


class DescribeImage(Operation[ImageDescription]):
    """Say what `image` shows or, with a `question`, answer that about it. `max_tokens` bounds the
    answer; the image may have at most `max_pixels`.
    """

    name, task, verb = "image.description", "captioning", "describe_image"

    model: str
    image: Blob
    question: str | None = Field(default=None, min_length=1)
    max_tokens: int = Field(default=64, ge=1)
    max_pixels: int = Field(default=MAX_PIXELS, ge=1)


DescriptionEvent = Progress | ImageDescription


class ImageDescriber(Engine, Protocol):
    """Puts images into words."""

    def describe_image(self, request: DescribeImage) -> AsyncIterator[DescriptionEvent]:
        """Progress in tokens, last the result. UnsupportedCapability with `param` `question` when
        the model only captions; PayloadTooLarge with `param` `image`.
        """
        ...
