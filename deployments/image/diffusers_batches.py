"""One call of a diffusers pipeline for a batch of images; runs in the thread that generates.

Imported only where diffusers is.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import dataclass
from typing import Any

import torch

from deployments.image.diffusers_attachments import AttachmentInputs, Attachments
from deployments.image.diffusers_calls import FAINTEST, ImagePrompt, PipelineCall, PipelineSettings
from deployments.image.diffusers_loading import ImageCheckpoint
from deployments.image.diffusers_sampling import SampledBy, SamplerTable
from deployments.image.diffusers_schedulers import scheduler_of
from deployments.image.diffusers_sources import noise_arguments, sources_as_latents
from deployments.image.generation_queue import GeneratedImage, GenerationRequest, PendingImage
from deployments.image.latent_previews import LatentPreviews, brightened, unpacked
from deployments.image.pipeline_abilities import abilities_of
from deployments.image.remembered_prompts import RememberedPrompts
from deployments.image.seamless_padding import seamless
from serve_app.core.config import Model
from serve_app.core.errors import AppError, BackendUnavailable
from serve_app.core.image.samplers import ImageSampling
from serve_app.core.notices import Notice
from serve_app.runtime.memory import free_memory, is_out_of_memory

logger = logging.getLogger(__name__)

StepCallback = Callable[[Any, int, Any, dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class BatchItem:
    """What there is to do for one image."""

    settings: PipelineSettings
    subject: ImagePrompt
    attachment_inputs: AttachmentInputs
    pipeline: Any
    call: PipelineCall


class ImageStopped(Exception):
    """Nobody waits for any image of the batch any more."""


class BatchGenerator:
    """Generates batches with the pipelines of one checkpoint, which are as before after each."""

    def __init__(
        self,
        model: Model,
        checkpoint: ImageCheckpoint,
        attachments: Attachments,
        prompts: RememberedPrompts,
    ) -> None:
        self._model = model
        self._checkpoint = checkpoint
        self._attachments = attachments
        self._prompts = prompts
        self._scheduler = checkpoint.first.scheduler
        first = checkpoint.first
        self.samplers = SamplerTable(self._scheduler, is_large=abilities_of(first).is_large)
        vae = getattr(first, "vae", None)
        self._previews = None if vae is None else LatentPreviews(vae, checkpoint.device)

    def generate(self, images: list[PendingImage[BatchItem]]) -> None:
        """Every image is generated, or its request told why not. What a batch fails with, images
        may not fail with alone: memory runs out, or a pipeline takes no batches.
        """
        wanted = [image for image in images if not image.order.is_stopped]
        if not wanted:
            return
        error = self._attempt(wanted)
        if error is None:
            return
        if len(wanted) > 1 and (not isinstance(error, AppError) or _is_short(error)):
            logger.info("a batch of %d failed (%s); generating one by one", len(wanted), error)
            for image in wanted:
                self.generate([image])
            return
        for image in wanted:
            # Each request may add to the message of its own.
            image.order.post(copy(error))

    def _attempt(self, images: list[PendingImage[BatchItem]]) -> Exception | None:
        """What it failed with, without the frames that hold on to tensors."""
        is_short = False
        try:
            self._run(images)
        except ImageStopped:
            pass
        except Exception as error:  # Handed on to the requests, in another thread.
            is_short = is_out_of_memory(error)
            if not isinstance(error, AppError) and not is_short:
                logger.exception("model %r failed to generate", self._model.id)
            if not is_short:
                return error.with_traceback(None)
        else:
            return None
        images[0].work.pipeline.maybe_free_model_hooks()
        if not is_short:
            return None
        free_memory()
        return self._out_of_memory(images[0].work.settings)

    def _run(self, images: list[PendingImage[BatchItem]]) -> None:
        work = images[0].work
        settings, pipeline = work.settings, work.pipeline
        if settings.strength is not None and settings.strength < FAINTEST:
            for image in images:
                source = image.work.subject.source
                assert source is not None
                _hand_on(image, source.image, was_cached=False)
            return
        self._checkpoint.take_over(pipeline)
        self._prompts.begin(settings.loras)
        with ExitStack() as stack:
            sampled = stack.enter_context(self._set_up(pipeline, settings))
            fitted = self._attachments.attached(pipeline, settings, work.attachment_inputs)
            attached = stack.enter_context(fitted)
            if settings.is_tileable:
                stack.enter_context(seamless(pipeline))
            latents: list[Any] = []
            arguments = self._arguments(images, stack, latents) | attached.arguments
            output = pipeline(**arguments)
        flags = getattr(output, "nsfw_content_detected", None) or [False] * len(images)
        said = (*sampled.notes, *attached.warnings)
        for row, image in enumerate(images):
            _hand_on(
                image,
                output.images[row],
                was_cached=self._prompts.was_hit(row),
                was_blacked=bool(flags[row]),
                warnings=said,
                sampling=sampled.used,
                latents=latents[-1][row].cpu() if settings.keeps_latents and latents else None,
            )

    def _arguments(
        self, images: list[PendingImage[BatchItem]], stack: ExitStack, latents: list[Any]
    ) -> dict[str, Any]:
        """Of the pipeline, which `stack` has as it is to be called; `latents` are then its last."""
        work = images[0].work
        settings, pipeline, call = work.settings, work.pipeline, work.call
        subjects = [image.work.subject for image in images]
        guided = call.guided(settings, subjects)
        arguments = call.arguments(settings, subjects, guided)
        if guided is not None:
            stack.enter_context(guided.followed(pipeline))
        generators = _generators(images)
        arguments |= sources_as_latents(pipeline, call.can, subjects)
        arguments |= noise_arguments(pipeline, call.can, settings, subjects, generators)
        if call.reports_steps:
            arguments["callback_on_step_end"] = self._step_callback(images, latents)
        return arguments | {"generator": _listed(generators)}

    @contextmanager
    def _set_up(self, pipeline: Any, settings: PipelineSettings) -> Generator[SampledBy]:
        """Scheduler and safety checker as asked."""
        checker = getattr(pipeline, "safety_checker", None)
        if settings.sampling is None:
            sampled = SampledBy(scheduler_of(self._scheduler, settings.scheduler), (), None)
        else:
            sampled = self.samplers.scheduler(settings.sampling)
        pipeline.scheduler = sampled.scheduler
        if checker is not None and not settings.checks_safety:
            pipeline.safety_checker = None
        try:
            yield sampled
        finally:
            if checker is not None:
                pipeline.safety_checker = checker

    def _step_callback(
        self, images: list[PendingImage[BatchItem]], latents: list[Any]
    ) -> StepCallback:
        """The pipeline's callback after each step, of which `latents` has the result."""
        steps = images[0].work.settings.steps

        def report_step(pipeline: Any, step: int, _: Any, values: dict[str, Any]) -> dict[str, Any]:
            # Some schedulers take more steps than they are asked for, and editing takes fewer.
            count = getattr(pipeline, "num_timesteps", None) or steps
            done = min(steps, round((step + 1) * steps / count))
            latents[:] = [values["latents"]] if "latents" in values else []
            self._show(pipeline, images, values.get("latents"))
            _advance(images, done)
            return values

        return report_step

    def _show(self, pipeline: Any, images: list[PendingImage[BatchItem]], latents: Any) -> None:
        """Each request its first image that is still under way, where it wants to see one."""
        wanted = {image.order: row for row, image in reversed([*enumerate(images)])}
        rows = [(order, row) for order, row in wanted.items() if order.wants_preview]
        if not rows or latents is None or self._previews is None:
            return
        size = images[0].work.settings.size
        pair = None if size is None else (size.width, size.height)
        unpacked_latents = unpacked(pipeline, latents, pair)
        if unpacked_latents is None:
            return
        bright = brightened(pipeline.scheduler, unpacked_latents)
        for order, row in rows:
            order.show(self._previews.image(bright[row]))

    def _out_of_memory(self, settings: PipelineSettings) -> BackendUnavailable:
        size = settings.size
        requested = f"{size.width}x{size.height}" if size else "the model's own size"
        return BackendUnavailable(
            f"model {self._model.id!r} ran out of memory at {requested}",
            remedy="request a smaller size",
            provider="diffusers",
            code="out_of_memory",
        )


def _hand_on(
    still: PendingImage[BatchItem],
    image: Any,
    *,
    was_cached: bool,
    was_blacked: bool = False,
    warnings: tuple[Notice, ...] = (),
    sampling: ImageSampling | None = None,
    latents: Any = None,
) -> None:
    source = still.work.subject.source
    result = image.convert("RGB") if source is None else source.finished(image)
    still.order.advance([still.index], still.work.settings.steps)
    still.order.post(
        GeneratedImage(still.index, result, was_cached, was_blacked, warnings, sampling, latents)
    )


def _is_short(error: AppError) -> bool:
    return error.code == "out_of_memory"


def _generators(images: list[PendingImage[BatchItem]]) -> list[torch.Generator]:
    """On the CPU, so that a seed means the same image on every device; one for each image, so
    that it means the same in every batch.
    """
    return [torch.Generator("cpu").manual_seed(image.work.subject.seed) for image in images]


def _listed(generators: list[torch.Generator]) -> Any:
    return generators[0] if len(generators) == 1 else generators


def _advance(images: list[PendingImage[BatchItem]], done: int) -> None:
    """Tell each request once. Raises ImageStopped when nobody is left to tell."""
    indices: dict[GenerationRequest, list[int]] = defaultdict(list)
    for image in images:
        if image.order.is_stopped:
            image.settle()
        else:
            indices[image.order].append(image.index)
    if not indices:
        raise ImageStopped
    for order, mine in indices.items():
        order.advance(mine, done)
