"""Images: text to images, and images to images."""

import struct
from collections.abc import AsyncIterator
from typing import Literal, Protocol

from pydantic import Field
from typing_extensions import override

from serve_app.core.engine import Engine
from serve_app.core.media import Blob, MediaFacts, MediaResult
from serve_app.core.message import Message, Progress
from serve_app.core.operation import Operation

ImageFormat = Literal["png", "jpeg", "webp"]
Quality = Literal["low", "standard", "high"]

MAX_PIXELS = 64_000_000
"""Of an image that an operation takes or makes, where nothing else is said."""

UNREADABLE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
)
"""What Pillow's decoders raise for files that are damaged or were made to deceive."""

IMAGE_MIME: dict[ImageFormat, str] = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
}


class Size(Message):
    """In pixels."""

    width: int = Field(ge=1)
    height: int = Field(ge=1)


class Lora(Message):
    """Low-rank weights laid over the model's own while one request runs: a stored file, or the
    name of one that the family's options list, or a repository on the hub.
    """

    file: Blob | None = None
    registered: str | None = None
    source: str | None = None
    weight: float = 1.0


class References(Message):
    """Images whose subject, not whose outlines, the result follows; `strength` from 0 to 1.
    `field` is the request's field that named them, `paths` the place in it of each, where known.
    """

    images: tuple[Blob, ...] = Field(min_length=1)
    strength: float = Field(default=0.6, ge=0, le=1)
    field: str = "references"
    paths: tuple[str, ...] = ()

    def path(self, number: int) -> str:
        """What an error calls an image."""
        return self.paths[number] if number < len(self.paths) else self.field


class ImageGeneration(Message):
    """What all requests for images share: generate `count` of them, image i from `seed` + i.

    None in `size`, `steps`, `guidance_scale` and `scheduler` means the model's own; `quality`
    scales the model's own steps only. `compression` is the quality of jpeg and webp, 0 to 100.
    `vae_model` names one that the family's options list. `max_pixels` bounds the images taken.
    """

    model: str
    prompt: str = ""
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
    loras: tuple[Lora, ...] = ()
    vae_model: str | None = None
    references: References | None = None
    max_pixels: int = Field(default=MAX_PIXELS, ge=1)


class Image(Message):
    """One image; `size` is what it really has, which is the asked one up to the model's step."""

    image: Blob
    seed: int
    size: Size


class Images(MediaResult):
    """The last item. `prompt_cache_hit` says that the prompt had been read before."""

    images: tuple[Image, ...]
    prompt_cache_hit: bool = False

    @override
    def facts(self) -> dict[str, MediaFacts]:
        return {
            made.image.sha256: MediaFacts(
                seed=made.seed, width=made.size.width, height=made.size.height
            )
            for made in self.images
        }


class ImageToImage(ImageGeneration, Operation[Images]):
    """Edit `image`, of which less is left the greater `strength` is.

    A given `size` is covered by the image, which is cropped at its centre and never stretched.
    Without one the result has the image's own size, or, with `is_sized_by_model`, its proportions
    and about as many pixels as the model generates by itself.
    """

    name, task, verb, result = "image.edit", "images", "image_to_image", Images

    image: Blob
    strength: float = Field(default=0.75, ge=0, le=1)
    is_sized_by_model: bool = False


class Inpaint(ImageToImage):
    """Edit the part of `image` that `mask` selects; every other pixel stays as it is.

    In a mask that is not opaque the transparent part is edited, else the white part. It is
    resized to the image.
    """

    name, task, verb, result = "image.inpaint", "images", "inpaint", Images

    mask: Blob


class VaryImage(ImageToImage):
    """Vary `image` without a prompt."""

    name, task, verb, result = "image.variation", "images", "image_to_image", Images


class TextToImage(ImageGeneration, Operation[Images]):
    """Generate images from `prompt`."""

    name, task, verb, result = "image.generation", "images", "text_to_image", Images

    prompt: str


ImageEvent = Progress | Images


class ImageModel(Engine, Protocol):
    """Generates images. Each verb yields Progress in steps over all images, then the Images.

    InvalidRequest names the field: `scheduler` and `vae_model` list those that fit the model,
    `loras[i]` is unknown or made for another one. UnsupportedCapability for a verb, or references,
    that the model is not made for.
    """

    def text_to_image(self, request: TextToImage) -> AsyncIterator[ImageEvent]:
        """Images of a text."""
        ...

    def image_to_image(self, request: ImageToImage) -> AsyncIterator[ImageEvent]:
        """An edited image."""
        ...

    def inpaint(self, request: Inpaint) -> AsyncIterator[ImageEvent]:
        """An image with an edited part."""
        ...
