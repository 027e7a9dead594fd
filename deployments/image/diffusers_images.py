"""Images by diffusers: any checkpoint that its `AutoPipeline` classes load from a directory."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from typing_extensions import override

from deployments.image.diffusers_attachments import (
    AttachmentInputs,
    Attachments,
    Locate,
    lora_tensors,
)
from deployments.image.diffusers_batches import BatchGenerator, BatchItem
from deployments.image.diffusers_calls import (
    ImagePrompt,
    Mode,
    PipelineCall,
    PipelineSettings,
    size_rule,
)
from deployments.image.diffusers_loading import ImageCheckpoint
from deployments.image.generation_queue import (
    GeneratedImage,
    GenerationQueue,
    GenerationRequest,
    PendingImage,
    unloaded,
)
from deployments.image.remembered_prompts import RememberedPrompts
from deployments.media.image_decoding import decoded_image
from deployments.media.image_encoding import encoded, parameters_text
from deployments.media.image_sources import ImageSource, flattened, source_of
from deployments.model_engine import ModelEngine
from serve_app.core.config import Model
from serve_app.core.image.images import (
    IMAGE_MIME,
    Image,
    ImageEvent,
    ImageGeneration,
    ImageModel,
    Images,
    ImageToImage,
    Inpaint,
    Size,
    TextToImage,
)
from serve_app.core.media import Blob, BlobStore
from serve_app.core.message import Progress
from serve_app.core.options.image import DiffusersOptions
from serve_app.runtime.memory import free_memory
from serve_app.runtime.streams import once


@dataclass(frozen=True)
class RequestFiles:
    """A request's blobs as local files."""

    image: Path | None
    mask: Path | None
    loras: tuple[Path | None, ...]
    references: tuple[Path, ...]


@dataclass(frozen=True)
class PreparedRequest:
    """A request with everything in memory that generating it takes."""

    settings: PipelineSettings
    source: ImageSource | None
    attachment_inputs: AttachmentInputs
    pipeline: Any
    call: PipelineCall
    warnings: tuple[str, ...]


class DiffusersImages(ModelEngine[DiffusersOptions], ImageModel):
    """An ImageModel. One thread generates; images with the same settings, of whatever requests, are
    generated at once, each with a generator of its own, so that a seed means the same image alone
    and among others.
    """

    def __init__(
        self,
        options: DiffusersOptions,
        model: Model,
        *,
        path: Path | None,
        blobs: BlobStore,
        locate: Locate = Path,
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        self._checkpoint: ImageCheckpoint | None = ImageCheckpoint(options, model, path)
        first = self._checkpoint.first
        self._rule = size_rule(first)
        # Now, because the pipeline's is another one while a request runs that names it.
        self._own_scheduler = type(first.scheduler).__name__
        attachments = Attachments(options, model, path, checkpoint=self._checkpoint, locate=locate)
        self._attachments: Attachments | None = attachments
        # Offloading hangs hooks of its own on the encoders, again after every image.
        is_whole = options.offload == "none"
        prompts = RememberedPrompts(first.components if is_whole else {})
        generator = BatchGenerator(model, self._checkpoint, attachments, prompts)
        self._line: GenerationQueue[BatchItem] = GenerationQueue(
            generator.generate, max_batch=options.max_batch
        )

    async def close(self) -> None:
        """Free the weights; images under way are finished by their thread."""
        self._line.close()
        self._line = GenerationQueue(lambda _: None, max_batch=1)
        self._line.close()
        self._checkpoint = self._attachments = None
        free_memory()

    @override
    def text_to_image(self, request: TextToImage) -> AsyncGenerator[ImageEvent]:
        """BackendUnavailable with the code `out_of_memory` when it is."""
        return self._generated(request, "text_to_image")

    @override
    def image_to_image(self, request: ImageToImage) -> AsyncGenerator[ImageEvent]:
        """As `text_to_image`."""
        return self._generated(request, "image_to_image")

    @override
    def inpaint(self, request: Inpaint) -> AsyncGenerator[ImageEvent]:
        """As `text_to_image`."""
        return self._generated(request, "inpaint")

    async def _generated(self, request: ImageGeneration, mode: Mode) -> AsyncGenerator[ImageEvent]:
        async with AsyncExitStack() as stack:
            files = await self._files(stack, request)
            prepared = await asyncio.to_thread(self._prepared, request, mode, files)
        order = GenerationRequest(request.count, steps=prepared.settings.steps)
        collector = ImageCollector(self.blobs, request, prepared, own_scheduler=self._own_scheduler)
        # What the line does not take is not in it, and never left.
        self._line.put(_images(order, request, prepared))
        try:
            async with aclosing(order.events()) as events:
                async for event in events:
                    if isinstance(event, Progress):
                        yield event
                    else:
                        await collector.add(event)
        finally:
            order.stop()
            self._line.drop(order)
            await order.settled()
        yield collector.images()

    async def _files(self, stack: AsyncExitStack, request: ImageGeneration) -> RequestFiles:
        async def local(blob: Blob) -> Path:
            return await stack.enter_async_context(self.blobs.local_file(blob))

        references = request.references.images if request.references else ()
        return RequestFiles(
            image=await local(request.image) if isinstance(request, ImageToImage) else None,
            mask=await local(request.mask) if isinstance(request, Inpaint) else None,
            loras=tuple([await local(lora.file) if lora.file else None for lora in request.loras]),
            references=tuple([await local(blob) for blob in references]),
        )

    def _prepared(
        self, request: ImageGeneration, mode: Mode, files: RequestFiles
    ) -> PreparedRequest:
        """Blocks. Raises what is wrong with the request."""
        checkpoint, attachments = self._checkpoint, self._attachments
        if checkpoint is None or attachments is None:
            raise unloaded()
        pipeline = checkpoint.pipeline(mode)
        attachments.check(request, pipeline)
        call = PipelineCall(pipeline, self.options, first=checkpoint.first)
        warnings = (*self._rule.warnings(request.size), *call.warnings(request))
        source = None
        if isinstance(request, ImageToImage):
            assert files.image is not None
            source, said = source_of(request, files.image, files.mask, rule=self._rule)
            warnings += said
        attachment_inputs = _attachment_inputs(request, files, attachments)
        return PreparedRequest(
            settings=call.settings(mode, request, source, self._rule),
            source=source,
            attachment_inputs=attachment_inputs,
            pipeline=pipeline,
            call=call,
            warnings=(*warnings, *attachment_inputs.warnings),
        )


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

    async def add(self, generated: GeneratedImage) -> None:
        """Encode it beside what is generated next, and store it."""
        request, settings = self._request, self._prepared.settings
        seed = request.seed + generated.index
        size = Size(width=generated.image.width, height=generated.image.height)
        parameters = parameters_text(
            request,
            seed=seed,
            size=size,
            steps=settings.steps,
            guidance_scale=settings.guidance_scale,
            scheduler=settings.scheduler or self._own_scheduler,
        )
        write = partial(encoded, generated.image, request.format, compression=request.compression)
        data = await asyncio.to_thread(write, parameters=parameters)
        blob = await self._blobs.write(once(data), mime=IMAGE_MIME[request.format])
        self._images[generated.index] = Image(image=blob, seed=seed, size=size)
        self._are_cached = self._are_cached and generated.was_cached
        self._warnings += generated.warnings
        if generated.was_blacked:
            self._warnings.append(f"image {generated.index}: blacked out by the safety checker")

    def images(self) -> Images:
        """All of them."""
        return Images(
            images=tuple(self._images[index] for index in sorted(self._images)),
            prompt_cache_hit=self._are_cached,
            warnings=tuple(dict.fromkeys(self._warnings)),
        )


def _images(
    order: GenerationRequest, request: ImageGeneration, prepared: PreparedRequest
) -> list[PendingImage[BatchItem]]:
    settings, call = prepared.settings, prepared.call
    batch_key = settings if call.can_batch(settings) else None
    images = []
    for index in range(request.count):
        subject = ImagePrompt(
            request.prompt, request.negative_prompt, request.seed + index, prepared.source
        )
        work = BatchItem(settings, subject, prepared.attachment_inputs, prepared.pipeline, call)
        images.append(PendingImage(order, index, batch_key, work))
    return images


def _attachment_inputs(
    request: ImageGeneration, files: RequestFiles, attachments: Attachments
) -> AttachmentInputs:
    """Blocks, and may download."""
    loras = []
    for position, lora in enumerate(request.loras):
        param = f"loras[{position}]"
        file = files.loras[position] or attachments.lora_file(lora, param)
        loras.append(lora_tensors(file, param))
    references = []
    warnings: list[str] = []
    for number, path in enumerate(files.references):
        assert request.references is not None
        param = request.references.path(number)
        image = decoded_image(path, param=param, max_pixels=request.max_pixels)
        references.append(flattened(image))
        warnings += image.warnings
    return AttachmentInputs(tuple(loras), tuple(references), tuple(warnings))
