"""What the tests of image engines share: requests, images, and how alike two are."""

import io
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops

from deployments.image.diffusers_images import DiffusersImages
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.image.images import Images, ImageToImage, Inpaint, Size, TextToImage
from serve_app.core.media import Blob
from serve_app.core.options.image import DiffusersOptions
from tests.images import chunks

MODEL = Model(id="tiny", source="tiny")
SMALL = Size(width=32, height=24)


def engine_of(checkpoint: Path, blobs: FsspecBlobStore, **options: Any) -> DiffusersImages:
    values = {"threads": 1} | options
    return DiffusersImages(
        DiffusersOptions.model_validate(values), MODEL, path=checkpoint, blobs=blobs
    )


def generation(**fields: Any) -> TextToImage:
    values = {"model": "tiny", "prompt": "a red boat", "seed": 5, "steps": 3, "size": SMALL}
    return TextToImage.model_validate(values | fields)


def edit(image: Blob, **fields: Any) -> ImageToImage:
    values = {"model": "tiny", "prompt": "a red boat", "seed": 5, "steps": 4, "image": image}
    kind = Inpaint if "mask" in fields else ImageToImage
    return kind.model_validate(values | fields)


def events_of(engine: DiffusersImages, request: Any) -> AsyncGenerator[Any]:
    match request:
        case Inpaint():
            return engine.inpaint(request)
        case ImageToImage():
            return engine.image_to_image(request)
    return engine.text_to_image(request)


async def generated(engine: DiffusersImages, request: Any) -> Images:
    events = [event async for event in events_of(engine, request)]
    result = events[-1]
    assert isinstance(result, Images)
    return result


async def stored(blobs: FsspecBlobStore, image: Image.Image) -> Blob:
    target = io.BytesIO()
    image.save(target, "PNG")
    return await blobs.write(chunks(target.getvalue()))


async def opened(blobs: FsspecBlobStore, images: Images, index: int = 0) -> Image.Image:
    data = [chunk async for chunk in blobs.read(images.images[index].image)]
    return Image.open(io.BytesIO(b"".join(data)))


async def image(
    engine: DiffusersImages, blobs: FsspecBlobStore, request: Any, index: int = 0
) -> Image.Image:
    return await opened(blobs, await generated(engine, request), index)


def distance(first: Image.Image, second: Image.Image) -> int:
    """The greatest difference of two values of the same place and colour."""
    extremes = ImageChops.difference(first.convert("RGB"), second.convert("RGB")).getextrema()
    return max(high for _, high in extremes)


def gradient(size: tuple[int, int]) -> Image.Image:
    """Every pixel of a colour of its own, smooth enough to be resized."""
    across = Image.linear_gradient("L").resize(size)
    down = Image.linear_gradient("L").rotate(90).resize(size)
    return Image.merge("RGB", (across, down, Image.new("L", size, 90)))
