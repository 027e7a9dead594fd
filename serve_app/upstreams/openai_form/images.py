"""Images: generated from a text, and edited."""

import asyncio
from collections.abc import AsyncGenerator

from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.errors import UnsupportedCapability
from serve_app.core.image.image_files import UNREADABLE, opened_image
from serve_app.core.image.images import (
    IMAGE_MIME,
    Image,
    ImageGeneration,
    Images,
    ImageToImage,
    Inpaint,
    Quality,
    Size,
    TextToImage,
    VaryImage,
)
from serve_app.core.media import Blob
from serve_app.core.notices import Notice
from serve_app.core.settings import Limits
from serve_app.upstreams.openai_form.chat_request import bytes_of
from serve_app.upstreams.openai_form.exchange import OWN_SERVER, Object, OpenAIExchange
from serve_app.upstreams.openai_form.media_files import multipart, named_file, stored_image

QUALITIES: dict[Quality, str] = {"low": "low", "standard": "medium", "high": "high"}
OWN_FIELDS = ("negative_prompt", "steps", "guidance_scale", "seed")
"""Which only servers of `OWN_SERVER` may know."""


async def images(
    operation: ImageGeneration, exchange: OpenAIExchange, blobs: FsspecBlobStore, limits: Limits
) -> AsyncGenerator[Images]:
    """All of them, in one response."""
    if isinstance(operation, VaryImage):
        raise UnsupportedCapability("the provider varies no images without a prompt", param="model")
    content = _content(operation, exchange)
    if isinstance(operation, TextToImage):
        answer = await exchange.post("images/generations", content)
    else:
        assert isinstance(operation, ImageToImage)
        body, kind = multipart(await _form(operation, content, blobs))
        async with exchange.opened("images/edits", body, kind) as response:
            answer = exchange.object_in(await response.read())
    data = answer.get("data")
    entries = [each for each in data or () if isinstance(each, dict)]
    if not entries:
        raise exchange.unreadable("has no images")
    made = []
    for number, entry in enumerate(entries[: operation.count]):
        blob = await stored_image(entry, exchange, blobs, limits)
        size = await _size(blob, exchange, blobs)
        made.append(Image(image=blob, seed=operation.seed + number, size=size))
    yield Images(images=tuple(made), warnings=_left_out(operation, exchange))


def _content(operation: ImageGeneration, exchange: OpenAIExchange) -> Object:
    model = exchange.target.model
    content: Object = {"model": model, "prompt": operation.prompt, "n": operation.count}
    if operation.size is not None:
        content["size"] = f"{operation.size.width}x{operation.size.height}"
    if "gpt-image" in model:
        # The one kind of model that refuses `response_format`.
        content |= {"output_format": operation.format, "quality": QUALITIES[operation.quality]}
    else:
        content["response_format"] = "b64_json"
    if exchange.kind in OWN_SERVER:
        given = {name: getattr(operation, name) for name in OWN_FIELDS}
        content |= {name: value for name, value in given.items() if value is not None}
    return content


async def _form(
    operation: ImageToImage, content: Object, blobs: FsspecBlobStore
) -> dict[str, str | list[str] | tuple[str, bytes, str]]:
    form: dict[str, str | list[str] | tuple[str, bytes, str]] = {
        name: str(value) for name, value in content.items()
    }
    image = await bytes_of(operation.image, blobs)
    form["image"] = named_file("image", image, operation.image.mime)
    if isinstance(operation, Inpaint):
        mask = await bytes_of(operation.mask, blobs)
        form["mask"] = named_file("mask", mask, operation.mask.mime)
    return form


def _left_out(operation: ImageGeneration, exchange: OpenAIExchange) -> tuple[Notice, ...]:
    """What was asked for and the provider has no field for."""
    if exchange.kind in OWN_SERVER:
        return ()
    names = [name for name in OWN_FIELDS[:-1] if getattr(operation, name) is not None]
    notices = [Notice(text="the provider has no such field", field=name) for name in names]
    if operation.loras:
        notices.append(Notice(text="the provider has no such field", field="loras"))
    return tuple(notices)


async def _size(blob: Blob, exchange: OpenAIExchange, blobs: FsspecBlobStore) -> Size:
    if blob.mime not in IMAGE_MIME.values():
        raise exchange.unreadable("has an image that cannot be read")
    async with blobs.local_file(blob) as path:

        def measured() -> Size:
            with opened_image(path) as opened:
                return Size(width=opened.image.width, height=opened.image.height)

        try:
            return await asyncio.to_thread(measured)
        except UNREADABLE as error:
            raise exchange.unreadable("has an image that cannot be read") from error
