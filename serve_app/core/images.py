"""Images: text to pictures."""

from collections.abc import AsyncIterator
from typing import Literal, Protocol

from pydantic import Field

from serve_app.core.media import Blob, Facts, MediaResult
from serve_app.core.message import Message, Progress

ImageFormat = Literal["png", "jpeg", "webp"]
Quality = Literal["low", "standard", "high"]

IMAGE_MIME: dict[ImageFormat, str] = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
}


class Size(Message):
    """In pixels."""

    width: int = Field(ge=1)
    height: int = Field(ge=1)


class TextToImage(Message):
    """Draw `prompt`, `count` times; image i is drawn from `seed` + i.

    None in `size`, `steps`, `guidance_scale` and `scheduler` means the model's own; `quality`
    scales the model's own steps only. `compression` is the quality of jpeg and webp, 0 to 100.
    """

    model: str
    prompt: str
    negative_prompt: str | None = None
    count: int = Field(default=1, ge=1)
    size: Size | None = None
    seed: int
    steps: int | None = Field(default=None, ge=1)
    guidance_scale: float | None = None
    quality: Quality = "standard"
    scheduler: str | None = None
    checks_safety: bool = True
    format: ImageFormat = "png"
    compression: int = Field(default=95, ge=0, le=100)


class Image(Message):
    """One picture; `size` is what it really has, which is the asked one up to the model's step."""

    image: Blob
    seed: int
    size: Size


class Images(MediaResult):
    """The last item. `prompt_cache_hit` says that the prompt had been read before."""

    images: tuple[Image, ...]
    prompt_cache_hit: bool = False

    def facts(self) -> dict[str, Facts]:
        """See MediaResult."""
        return {
            made.image.sha256: Facts(seed=made.seed, width=made.size.width, height=made.size.height)
            for made in self.images
        }


ImageEvent = Progress | Images


class ImageModel(Protocol):
    """Draws."""

    def text_to_image(self, request: TextToImage) -> AsyncIterator[ImageEvent]:
        """Progress in steps over all images, then the Images. InvalidRequest with `param`
        `scheduler` lists those that fit the model when the named one does not.
        """
        ...
