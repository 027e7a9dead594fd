"""One request for images: what it takes to generate them, and what comes of it."""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any

from deployments.image.diffusers_attachments import AttachmentInputs
from deployments.image.diffusers_calls import PipelineCall, PipelineSettings
from deployments.image.generation_queue import GeneratedImage, LatentImage
from deployments.image.latent_files import latent_bytes
from deployments.media.image_encoding import encoded, jpeg_bytes, parameters_text
from deployments.media.image_sources import ImageSource
from serve_app.core.image.images import IMAGE_MIME, Image, ImageGeneration, Images, Size
from serve_app.core.image.samplers import ImageSampling
from serve_app.core.media import Blob, BlobStore, PreviewedProgress
from serve_app.core.message import Progress
from serve_app.core.notices import Notice
from serve_app.runtime.streams import once

LATENTS_MIME = "application/octet-stream"


@dataclass(frozen=True)
class PreparedRequest:
    """A request with everything in memory that generating it takes; `latents` is a tensor."""

    settings: PipelineSettings
    source: ImageSource | None
    latents: Any
    attachment_inputs: AttachmentInputs
    pipeline: Any
    call: PipelineCall
    warnings: tuple[Notice, ...]


class ImageCollector:
    """One request's finished images, stored in their order."""

    def __init__(
        self,
        blobs: BlobStore,
        request: ImageGeneration,
        prepared: PreparedRequest,
        *,
        own_scheduler: str,
    ) -> None:
        self._blobs = blobs
        self._own_scheduler = own_scheduler
        self._request = request
        self._prepared = prepared
        self._images: dict[int, Image] = {}
        self._warnings = list(prepared.warnings)
        self._are_cached = True
        self._sampling: ImageSampling | None = None
        self._preview: Blob | None = None

    async def add(self, generated: GeneratedImage) -> None:
        """Encode it beside what is generated next, and store it."""
        request = self._request
        seed = request.seed + generated.index
        size = Size(width=generated.image.width, height=generated.image.height)
        self._sampling = generated.sampling or self._sampling
        parameters = self._text(generated.index, size, generated.sampling)
        write = partial(encoded, generated.image, request.format, compression=request.compression)
        data = await asyncio.to_thread(write, parameters=parameters)
        blob = await self._blobs.write(once(data), mime=IMAGE_MIME[request.format])
        self._images[generated.index] = Image(
            image=blob,
            seed=seed,
            size=size,
            variation_seed=request.variation_seed(generated.index),
            latents=await self._latents(generated),
        )
        self._are_cached = self._are_cached and generated.was_cached
        self._warnings += generated.warnings
        if generated.was_blacked:
            said = f"image {generated.index}: blacked out by the safety checker"
            self._warnings.append(Notice(text=said))

    async def _latents(self, generated: GeneratedImage) -> Blob | None:
        if generated.latents is None:
            return None
        data = await asyncio.to_thread(latent_bytes, generated.latents)
        return await self._blobs.write(once(data), mime=LATENTS_MIME)

    def images(self) -> Images:
        """All of them."""
        return Images(
            images=tuple(self._images[index] for index in sorted(self._images)),
            prompt_cache_hit=self._are_cached,
            sampling=self._sampling,
            warnings=tuple(dict.fromkeys(self._warnings)),
        )

    @property
    def has_another_batch(self) -> bool:
        """Whether it is worth telling what is there: whole batches, and not all images."""
        request, at_once = self._request, self._request.at_once
        if (
            not request.can_end_early
            or at_once is None
            or len(self._images) == len(request.numbers)
        ):
            return False
        begun = {index // at_once for index in self._images}
        whole = [number for number in request.numbers if number // at_once in begun]
        return len(self._images) == len(whole)

    async def show(self, latent: LatentImage) -> None:
        """Store a preview."""
        data = await asyncio.to_thread(jpeg_bytes, latent.image)
        self._preview = await self._blobs.write(once(data), mime=IMAGE_MIME["jpeg"])

    def previewed(self, progress: Progress) -> Progress:
        """The same, with the last preview if there is one."""
        if self._preview is None:
            return progress
        return PreviewedProgress(preview=self._preview, **progress.model_dump())

    def _text(self, index: int, size: Size, used: ImageSampling | None) -> str:
        """What stands in an image's file."""
        request, settings = self._request, self._prepared.settings
        text = request.embedded_text(index, used)
        if text is not None:
            return text
        sampler = used and used.sampler
        return parameters_text(
            request,
            seed=request.seed + index,
            size=size,
            steps=settings.steps,
            guidance_scale=settings.guidance_scale,
            scheduler=sampler or settings.scheduler or self._own_scheduler,
        )
