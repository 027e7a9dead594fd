"""Images in two passes: generated, made larger, and edited at the larger size."""

from collections.abc import AsyncGenerator
from typing import Any, get_args

from serve_app.core.errors import UpstreamError
from serve_app.core.image.images import (
    HiresPass,
    Image,
    ImageEvent,
    Images,
    ImageToImage,
    Resize,
    Size,
    TextToImage,
    Variation,
)
from serve_app.core.image.samplers import ImageSampling
from serve_app.core.image.sampling_names import of_second_pass
from serve_app.core.image.upscaling import Scale, UpscaledImage, UpscaleImage
from serve_app.core.media import Blob, PreviewedProgress
from serve_app.core.message import Progress
from serve_app.core.notices import Notice
from serve_app.core.operation import Run
from serve_app.runtime.streams import closing

RESIZES: dict[str, Resize] = {"latent": "latent", "nearest": "nearest", "lanczos": "crop"}
"""Upscalers that are no models."""
FACTORS: tuple[Scale, ...] = get_args(Scale)
PASSED_ON = (
    "quality",
    "checks_safety",
    "format",
    "compression",
    "loras",
    "references",
    "max_pixels",
    "weighs_words",
    "clip_skip",
    "is_tileable",
    "preview_every_s",
)
"""What the second pass has of the first one, whatever it says itself."""


def enlarged(run: Run, request: TextToImage, hires: HiresPass) -> AsyncGenerator[ImageEvent]:
    """As ImageModel, by the models that request and pass name. Progress is over both passes."""
    return _TwoPasses(run, request, hires).images()


class _TwoPasses:
    def __init__(self, run: Run, request: TextToImage, hires: HiresPass) -> None:
        self._run = run
        self._request = request
        self._hires = hires
        # In images: a pass over one of them is a half.
        self._done = request.count - len(request.numbers) + 0.0
        self._steps: int | None = request.steps
        self._preview: Blob | None = None

    async def images(self) -> AsyncGenerator[ImageEvent]:
        request, made = self._request, Images(images=())
        sampling: ImageSampling | None = None
        second: ImageSampling | None = None
        batches = request.batches
        for batch in batches:
            first = Images(images=())
            async for event in self._read(self._first_pass(batch), len(batch)):
                if isinstance(event, Progress):
                    yield event
                else:
                    first = event
            for image in first.images:
                async for step in self._second(image, first.sampling):
                    if isinstance(step, Progress):
                        yield step
                    else:
                        second = step.sampling or second
                        made = request.joined(made, step)
            sampling = first.sampling or sampling
            told = {"sampling": sampling, "second_sampling": second}
            warnings = _all((*first.warnings, *made.warnings))
            made = made.model_copy(update=told | {"warnings": warnings})
            if request.can_end_early and batch is not batches[-1]:
                yield made
        yield made

    async def _second(
        self, image: Image, sampling: ImageSampling | None
    ) -> AsyncGenerator[ImageEvent]:
        operation = await self._second_pass(image, sampling)
        async for event in self._read(operation, 1):
            yield event

    async def _read(
        self, operation: TextToImage | ImageToImage, count: int
    ) -> AsyncGenerator[ImageEvent]:
        """Its progress as part of the whole; last its images."""
        result: Images | None = None
        events = self._run(operation)
        async with closing(events):
            async for event in events:
                if isinstance(event, Progress):
                    yield self._progress(event, count)
                else:
                    result = event
        if result is None:
            raise UpstreamError(f"model {operation.model!r} ended without images")
        self._done += count / 2
        yield result

    def _progress(self, progress: Progress, count: int) -> Progress:
        total = progress.total or 1
        self._steps = self._steps or max(1, total // count)
        whole = 2 * self._steps * self._request.count
        share = (self._done + count / 2 * min(1.0, progress.current / total)) / self._request.count
        if isinstance(progress, PreviewedProgress):
            self._preview = progress.preview
        told: dict[str, Any] = {"phase": "denoise", "current": round(share * whole)}
        if self._preview is None:
            return Progress(total=whole, **told)
        return PreviewedProgress(total=whole, preview=self._preview, **told)

    def _first_pass(self, batch: tuple[int, ...]) -> TextToImage:
        first = batch[0]
        return self._request.model_copy(
            update={
                "hires": None,
                "seed": self._request.seed + first,
                "variation": self._variation(first),
                "count": batch[-1] - first + 1,
                "leaves_out": tuple(i - first for i in range(first, batch[-1]) if i not in batch),
                "can_end_early": False,
                "embedded_texts": (),
                "format": "png",
                "keeps_latents": self._stays_latent,
            }
        )

    async def _second_pass(self, image: Image, sampling: ImageSampling | None) -> ImageToImage:
        request, hires = self._request, self._hires
        number = image.seed - request.seed
        scale = hires.scale
        size = hires.size or Size(
            width=round(image.size.width * scale), height=round(image.size.height * scale)
        )
        changes: dict[str, Any] = {name: getattr(request, name) for name in PASSED_ON}
        if hires.model in (None, request.model):
            changes["vae_model"] = request.vae_model
        if hires.loras is not None:
            changes["loras"] = hires.loras
        negative, text = hires.negative_prompt, request.embedded_text(number, sampling)
        left = text and of_second_pass(text)
        return ImageToImage(
            model=hires.model or request.model,
            prompt=request.prompt if hires.prompt is None else hires.prompt,
            negative_prompt=request.negative_prompt if negative is None else negative,
            seed=image.seed,
            variation=self._variation(number),
            size=size,
            image=await self._large(image, size),
            resize=RESIZES.get(hires.upscaler, "crop"),
            latents=image.latents,
            latent_resampling=hires.latent_resampling,
            strength=hires.strength,
            steps=hires.steps or request.steps,
            steps_before=self._steps or 0,
            guidance_scale=request.guidance_scale
            if hires.guidance_scale is None
            else hires.guidance_scale,
            sampling=hires.sampling or request.sampling,
            scheduler=request.scheduler,
            embedded_texts=() if left is None else (left,),
            sampling_names=None if left == text else request.sampling_names,
            **changes,
        )

    async def _large(self, image: Image, size: Size) -> Blob:
        """Where a model enlarges, at least of the size; the rest is resampling."""
        if self._hires.upscaler in RESIZES:
            return image.image
        ratio = max(size.width / image.size.width, size.height / image.size.height)
        operation = UpscaleImage(
            model=self._hires.upscaler,
            image=image.image,
            scale=next((factor for factor in FACTORS if factor >= ratio), FACTORS[-1]),
            allows_resize=True,
            max_pixels=self._request.max_pixels,
        )
        events = self._run(operation)
        large: UpscaledImage | None = None
        async with closing(events):
            async for event in events:
                large = large if isinstance(event, Progress) else event
        if large is None:
            raise UpstreamError(f"model {operation.model!r} ended without an image")
        return large.image

    @property
    def _stays_latent(self) -> bool:
        """Whether the second pass can go on from where the first one has ended."""
        hires, request = self._hires, self._request
        return hires.upscaler == "latent" and hires.model in (None, request.model)

    def _variation(self, number: int) -> Variation | None:
        own = self._request.variation
        return own and own.model_copy(update={"seed": own.seed + number})


def _all(warnings: tuple[Notice, ...]) -> tuple[Notice, ...]:
    return tuple(dict.fromkeys(warnings))
