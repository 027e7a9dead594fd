"""The image engine of `engine: fake`: coloured squares that follow from prompt and seed."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any

from deployments.fakes.engine import FakeEngine
from deployments.media.image_encoding import encoded, parameters_text
from serve_app.core.errors import InvalidRequest, UnsupportedCapability
from serve_app.core.image.images import (
    IMAGE_MIME,
    Image,
    ImageEvent,
    ImageGeneration,
    Images,
    ImageToImage,
    Inpaint,
    Size,
    TextToImage,
)
from serve_app.core.message import Progress
from serve_app.runtime.streams import once

STEPS = 4
SIZE = Size(width=512, height=512)
SIZE_STEP_PX = 8
SQUARES = 8
SCHEDULERS = ("fake",)


class FakeImages(FakeEngine):
    """An ImageModel whose images are `SQUARES` by `SQUARES` squares, sizes in steps of 8. It
    edits images by blending squares into them, and takes nothing besides.
    """

    def text_to_image(self, request: TextToImage) -> AsyncGenerator[ImageEvent]:
        """The same image for the same prompt, negative prompt and seed."""
        return self._generated("text_to_image", request)

    def image_to_image(self, request: ImageToImage) -> AsyncGenerator[ImageEvent]:
        """As `text_to_image`, with `strength` as the share of the squares."""
        return self._generated("image_to_image", request)

    def inpaint(self, request: Inpaint) -> AsyncGenerator[ImageEvent]:
        """As `image_to_image`, inside the mask."""
        return self._generated("inpaint", request)

    async def _generated(self, verb: str, request: ImageGeneration) -> AsyncGenerator[ImageEvent]:
        _check(request)
        from deployments.media.image_sources import SizeRule

        rule = SizeRule(SIZE_STEP_PX, SIZE)
        source, said = await self._source(request, rule)
        steps = request.steps or STEPS
        total = steps * request.count
        images: list[Image] = []
        async with self.working(verb, request.prompt):
            for step in range(total):
                await asyncio.sleep(0)
                yield Progress(phase="denoise", current=step + 1, total=total)
                if (step + 1) % steps == 0:
                    size = rule.rounded(request.size or SIZE)
                    seed = request.seed + step // steps
                    images.append(await self._written(request, seed, size, source))
        warnings = (*rule.warnings(request.size), *said)
        yield Images(images=tuple(images), warnings=warnings)

    async def _source(self, request: ImageGeneration, rule: Any) -> tuple[Any, tuple[str, ...]]:
        """The Source of a request that has one."""
        from deployments.media.image_sources import source_of

        if not isinstance(request, ImageToImage):
            return None, ()
        async with AsyncExitStack() as stack:
            image = await stack.enter_async_context(self.blobs.local_file(request.image))
            mask = None
            if isinstance(request, Inpaint):
                mask = await stack.enter_async_context(self.blobs.local_file(request.mask))
            return await asyncio.to_thread(source_of, request, image, mask, rule=rule)

    async def _written(self, request: ImageGeneration, seed: int, size: Size, source: Any) -> Image:
        data, made = await asyncio.to_thread(_file, request, seed, size, source)
        blob = await self.blobs.write(once(data), mime=IMAGE_MIME[request.format])
        return Image(image=blob, seed=seed, size=made)


def _file(request: ImageGeneration, seed: int, size: Size, source: Any) -> tuple[bytes, Size]:
    """An image as a file, and its size."""
    if source is not None:
        size = Size(width=source.image.width, height=source.image.height)
    image = _squares(request, seed, size)
    if isinstance(request, ImageToImage):
        image = source.finished(_blended(source.image, image, request.strength))
        size = Size(width=image.width, height=image.height)
    text = parameters_text(request, seed=seed, size=size, steps=request.steps or STEPS)
    data = encoded(image, request.format, compression=request.compression, parameters=text)
    return data, size


def _squares(request: ImageGeneration, seed: int, size: Size) -> Any:
    from PIL import Image as Stills

    subject = f"{request.prompt}\0{request.negative_prompt or ''}\0{seed}"
    colours = hashlib.shake_256(subject.encode()).digest(SQUARES * SQUARES * 3)
    small = Stills.frombytes("RGB", (SQUARES, SQUARES), colours)
    return small.resize((size.width, size.height), Stills.Resampling.NEAREST)


def _blended(image: Any, squares: Any, strength: float) -> Any:
    from PIL import Image as Stills

    return Stills.blend(image, squares, strength)


def _check(request: ImageGeneration) -> None:
    """Refuse what this engine has not."""
    if request.scheduler not in (None, *SCHEDULERS):
        raise InvalidRequest(
            f"unknown scheduler {request.scheduler[:50]!r}; schedulers: fake", param="scheduler"
        )
    given = {
        "loras": request.loras,
        "vae_model": request.vae_model,
        request.references.field if request.references else "": request.references,
    }
    for name, value in given.items():
        if value:
            raise UnsupportedCapability(
                f"model {request.model!r} takes none; leave it out", param=name
            )
