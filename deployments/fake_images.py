"""The image engine of `engine: fake`: coloured squares that follow from prompt and seed."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator

from deployments.fake import FakeEngine
from deployments.image_encoding import encoded, parameters_text
from serve_app.core.errors import InvalidRequest
from serve_app.core.images import IMAGE_MIME, Image, ImageEvent, Images, Size, TextToImage
from serve_app.core.message import Progress

STEPS = 4
SIZE = Size(width=512, height=512)
SIZE_STEP_PX = 8
SQUARES = 8
SCHEDULERS = ("fake",)


class FakeImages(FakeEngine):
    """An ImageModel whose pictures are `SQUARES` by `SQUARES` squares, sizes in steps of 8."""

    async def text_to_image(self, request: TextToImage) -> AsyncGenerator[ImageEvent]:
        """The same picture for the same prompt, negative prompt and seed."""
        if request.scheduler not in (None, *SCHEDULERS):
            raise InvalidRequest(
                f"unknown scheduler {request.scheduler[:50]!r}; schedulers: fake", param="scheduler"
            )
        size = _rounded(request.size or SIZE)
        steps = request.steps or STEPS
        total = steps * request.count
        images: list[Image] = []
        async with self.working("text_to_image", request.prompt):
            for step in range(total):
                await asyncio.sleep(0)
                yield Progress(phase="denoise", current=step + 1, total=total)
                if (step + 1) % steps == 0:
                    images.append(await self._drawn(request, request.seed + step // steps, size))
        yield Images(images=tuple(images), warnings=_warnings(request, size))

    async def _drawn(self, request: TextToImage, seed: int, size: Size) -> Image:
        data = await asyncio.to_thread(_picture, request, seed, size)
        blob = await self.blobs.write(_once(data), mime=IMAGE_MIME[request.format])
        return Image(image=blob, seed=seed, size=size)


def _picture(request: TextToImage, seed: int, size: Size) -> bytes:
    from PIL import Image as Pictures

    subject = f"{request.prompt}\0{request.negative_prompt or ''}\0{seed}"
    colours = hashlib.shake_256(subject.encode()).digest(SQUARES * SQUARES * 3)
    small = Pictures.frombytes("RGB", (SQUARES, SQUARES), colours)
    image = small.resize((size.width, size.height), Pictures.Resampling.NEAREST)
    text = parameters_text(request, seed=seed, size=size, steps=request.steps or STEPS)
    return encoded(image, request.format, compression=request.compression, parameters=text)


def _rounded(size: Size) -> Size:
    def near(length: int) -> int:
        return max(SIZE_STEP_PX, round(length / SIZE_STEP_PX) * SIZE_STEP_PX)

    return Size(width=near(size.width), height=near(size.height))


def _warnings(request: TextToImage, size: Size) -> tuple[str, ...]:
    if request.size in (None, size):
        return ()
    return (f"size: rounded to {size.width}x{size.height}, a multiple of {SIZE_STEP_PX}",)


async def _once(data: bytes) -> AsyncGenerator[bytes]:
    yield data
