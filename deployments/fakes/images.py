"""The image engine of `engine: fake`: coloured squares that follow from what is asked for."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any

from deployments.fakes.engine import FakeEngine
from deployments.fakes.squares import STEPS, preview_file, written_image
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
from serve_app.core.image.samplers import ImageFacts, ImageSampling, not_taken
from serve_app.core.media import PreviewedProgress
from serve_app.core.message import Progress
from serve_app.core.notices import Notice
from serve_app.runtime.streams import once

SIZE = Size(width=512, height=512)
SIZE_STEP_PX = 8
SCHEDULERS = ("fake",)
FACTS = ImageFacts(
    samplers=("euler_a", "euler", "dpm++_2m", "ddim"),
    schedules=("karras", "uniform"),
    weighs_words=True,
    resizes_latents=True,
)


class FakeImages(FakeEngine):
    """An ImageModel whose images are squares, sizes in steps of 8. It edits images by blending
    squares into them; whatever else is asked for changes the squares, and reference images are
    refused. Where a request can end early, every batch takes `delay_s`.
    """

    image_facts = FACTS

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
        self._check(request)
        from deployments.media.image_sources import SizeRule

        rule = SizeRule(SIZE_STEP_PX, SIZE)
        source, said = await self._source(request, rule)
        size = rule.rounded(request.size or SIZE)
        warnings = (*rule.warnings(request.size), *said, *_notes(request))
        made = Images(images=(), sampling=used_sampling(request), warnings=warnings)
        batches = request.batches
        async with self.working(verb, request.prompt, delays=not request.can_end_early):
            for batch in batches:
                async for event in self._batch(request, batch, size, source):
                    if isinstance(event, Image):
                        made = made.model_copy(update={"images": (*made.images, event)})
                    else:
                        yield event
                if request.can_end_early and batch is not batches[-1]:
                    yield made
        yield made

    async def _batch(
        self, request: ImageGeneration, batch: tuple[int, ...], size: Size, source: Any
    ) -> AsyncGenerator[Progress | Image]:
        steps = request.steps or STEPS
        done = request.count - len([n for n in request.numbers if n >= batch[0]])
        for position, number in enumerate(batch):
            for step in range(steps):
                await asyncio.sleep(0)
                current = (done + position) * steps + step + 1
                progress = Progress(phase="denoise", current=current, total=steps * request.count)
                every_s = request.preview_every_s
                if every_s is not None and step == 0 and self.options.delay_s >= every_s:
                    progress = await self._previewed(progress, request, number, size, source)
                yield progress
                if request.can_end_early and position == 0 and step == 0:
                    await asyncio.sleep(self.options.delay_s)
            yield await self._written(request, number, size, source)

    async def _source(self, request: ImageGeneration, rule: Any) -> tuple[Any, tuple[Notice, ...]]:
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

    async def _written(
        self, request: ImageGeneration, number: int, size: Size, source: Any
    ) -> Image:
        data, made = await asyncio.to_thread(
            written_image,
            request,
            number,
            size,
            source,
            steps=request.steps or STEPS,
            used=used_sampling(request),
        )
        blob = await self.blobs.write(once(data), mime=IMAGE_MIME[request.format])
        return Image(
            image=blob,
            seed=request.seed + number,
            size=made,
            variation_seed=request.variation_seed(number),
        )

    async def _previewed(
        self, progress: Progress, request: ImageGeneration, number: int, size: Size, source: Any
    ) -> Progress:
        data = await asyncio.to_thread(preview_file, request, number, size, source)
        blob = await self.blobs.write(once(data), mime="image/jpeg")
        return PreviewedProgress(preview=blob, **progress.model_dump())

    def _check(self, request: ImageGeneration) -> None:
        """Refuse what this engine has not."""
        if request.scheduler not in (None, *SCHEDULERS):
            raise InvalidRequest(
                f"unknown scheduler {request.scheduler[:50]!r}",
                remedy="schedulers: fake",
                param="scheduler",
            )
        options = self.options
        loras = any(lora.registered not in options.loras for lora in request.loras)
        given = {
            "loras": loras,
            "vae_model": request.vae_model and request.vae_model not in options.vaes,
            request.references.field if request.references else "": request.references,
        }
        for name, value in given.items():
            if value:
                raise UnsupportedCapability(
                    f"model {request.model!r} takes none", remedy="leave it out", param=name
                )


def used_sampling(request: ImageGeneration) -> ImageSampling | None:
    """What it has of what is asked for."""
    sampling = request.sampling
    if sampling is None:
        return None
    sampler = sampling.sampler if sampling.sampler in FACTS.samplers else FACTS.samplers[0]
    schedule = sampling.schedule if sampling.schedule in FACTS.schedules else None
    return sampling.model_copy(
        update={"sampler": sampling.sampler and sampler, "schedule": schedule}
    )


def _notes(request: ImageGeneration) -> list[Notice]:
    """What it has no such thing of."""
    sampling = request.sampling
    if sampling is None:
        return []
    notes = []
    if sampling.sampler is not None and sampling.sampler not in FACTS.samplers:
        first = FACTS.samplers[0]
        notes.append(not_taken("sampler", "this model", sampling.sampler, first))
    if sampling.schedule is not None and sampling.schedule not in FACTS.schedules:
        notes.append(not_taken("schedule", "this model", sampling.schedule))
    return notes
