"""Images by diffusers: any checkpoint that its `AutoPipeline` classes load from a directory."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path

import torch
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
    size_rule,
)
from deployments.image.diffusers_loading import ImageCheckpoint
from deployments.image.generation_queue import (
    GenerationQueue,
    GenerationRequest,
    LatentImage,
    PendingImage,
    unloaded,
)
from deployments.image.guided_prompts import check_composition
from deployments.image.image_collector import ImageCollector, PreparedRequest
from deployments.image.latent_files import read_latents
from deployments.image.learned_words import LearnedWords
from deployments.image.pipeline_abilities import abilities_of
from deployments.image.remembered_prompts import RememberedPrompts
from deployments.media.image_decoding import decoded_image
from deployments.media.image_sources import ImageSource, flattened, source_of
from deployments.model_engine import ModelEngine
from serve_app.core.config import Model
from serve_app.core.image.image_model import ImageModel
from serve_app.core.image.images import (
    ImageEvent,
    ImageGeneration,
    ImageToImage,
    Inpaint,
    TextToImage,
)
from serve_app.core.media import Blob, BlobStore
from serve_app.core.message import Progress
from serve_app.core.notices import Notice
from serve_app.core.options.image import DiffusersOptions
from serve_app.runtime.memory import free_memory


@dataclass(frozen=True)
class RequestFiles:
    """A request's blobs as local files."""

    image: Path | None
    latents: Path | None
    mask: Path | None
    loras: tuple[Path | None, ...]
    references: tuple[Path, ...]


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
        self._words = LearnedWords(first, options.embeddings, locate)
        can = abilities_of(first)
        # Offloading hangs hooks of its own on the encoders, again after every image.
        is_whole = options.offload == "none"
        prompts = RememberedPrompts(first.components if is_whole else {})
        generator = BatchGenerator(model, self._checkpoint, attachments, prompts)
        self.image_facts = generator.samplers.facts(
            weighs_words=can.read_prompts, resizes_latents=can.be_seamless
        )
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
        order = GenerationRequest(
            request.count,
            steps=prepared.settings.steps,
            left_out=request.leaves_out,
            preview_every_s=request.preview_every_s,
        )
        collector = ImageCollector(self.blobs, request, prepared, own_scheduler=self._own_scheduler)
        # What the line does not take is not in it, and never left.
        self._line.put(_images(order, request, prepared))
        try:
            async with aclosing(order.events()) as events:
                async for event in events:
                    if isinstance(event, LatentImage):
                        await collector.show(event)
                    elif isinstance(event, Progress):
                        yield collector.previewed(event)
                    else:
                        await collector.add(event)
                        if collector.has_another_batch:
                            yield collector.images()
        finally:
            order.stop()
            self._line.drop(order)
            await order.settled()
        yield collector.images()

    async def _files(self, stack: AsyncExitStack, request: ImageGeneration) -> RequestFiles:
        async def local(blob: Blob) -> Path:
            return await stack.enter_async_context(self.blobs.local_file(blob))

        references = request.references.images if request.references else ()
        latents = request.latents if isinstance(request, ImageToImage) else None
        return RequestFiles(
            image=await local(request.image) if isinstance(request, ImageToImage) else None,
            latents=await local(latents) if latents is not None else None,
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
        check_composition(request)
        call = PipelineCall(pipeline, self.options, first=checkpoint.first, words=self._words)
        words, said = self._learned_words(request, call)
        warnings = (*self._rule.warnings(request.size), *call.warnings(request), *said)
        source = None
        if isinstance(request, ImageToImage):
            assert files.image is not None
            source, said = source_of(
                request,
                files.image,
                files.mask,
                rule=self._rule,
                fills_latents=call.can.vary,
                resizes_latents=call.can.resize_latents,
            )
            warnings += said
        attachment_inputs = _attachment_inputs(request, files, attachments)
        return PreparedRequest(
            settings=call.settings(mode, request, source, self._rule, words=words),
            source=source,
            latents=self._latents(files, source, call),
            attachment_inputs=attachment_inputs,
            pipeline=pipeline,
            call=call,
            warnings=(*warnings, *attachment_inputs.warnings),
        )

    def _latents(
        self, files: RequestFiles, source: ImageSource | None, call: PipelineCall
    ) -> torch.Tensor | None:
        """Of the source, where they are those of its size. Blocks."""
        if files.latents is None or source is None or source.unscaled is None:
            return None
        latents = read_latents(files.latents, channels=call.can.channels)
        cells = tuple(side // call.can.cell_px for side in reversed(source.unscaled.size))
        return latents if tuple(latents.shape[-2:]) == cells else None

    def _learned_words(
        self, request: ImageGeneration, call: PipelineCall
    ) -> tuple[tuple[str, ...], tuple[Notice, ...]]:
        """Those that a request names, and what has to be said of others. Blocks."""
        named = self._words.named_in((request.prompt, request.negative_prompt or ""))
        if named and not call.can.read_prompts:
            return (), (Notice(text="embeddings have no effect with this model"),)
        return self._words.loaded(named)


def _images(
    order: GenerationRequest, request: ImageGeneration, prepared: PreparedRequest
) -> list[PendingImage[BatchItem]]:
    settings, call = prepared.settings, prepared.call
    can_batch = call.can_batch(settings)
    images = []
    for index in request.numbers:
        subject = _subject(request, index, prepared)
        work = BatchItem(settings, subject, prepared.attachment_inputs, prepared.pipeline, call)
        batch = index // request.at_once if request.at_once else None
        batch_key = (settings, batch) if can_batch else None
        images.append(PendingImage(order, index, batch_key, work))
    return images


def _subject(request: ImageGeneration, index: int, prepared: PreparedRequest) -> ImagePrompt:
    variation, source = request.variation, prepared.source
    return ImagePrompt(
        prepared.call.prompt(request, request.prompt) or "",
        prepared.call.prompt(request, request.negative_prompt),
        request.seed + index,
        source,
        variation=variation and variation.model_copy(update={"seed": variation.seed + index}),
        noise_scale=request.noise_scale if isinstance(request, ImageToImage) else 1.0,
        mask_fill=request.mask_fill if isinstance(request, Inpaint) else "original",
        latents=prepared.latents,
        latent_resampling=request.latent_resampling
        if isinstance(request, ImageToImage)
        else "bilinear",
    )


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
    warnings: list[Notice] = []
    for number, path in enumerate(files.references):
        assert request.references is not None
        param = request.references.path(number)
        image = decoded_image(path, param=param, max_pixels=request.max_pixels)
        references.append(flattened(image))
        warnings += image.warnings
    return AttachmentInputs(tuple(loras), tuple(references), tuple(warnings))
