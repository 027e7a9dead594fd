"""Images by diffusers: any checkpoint that `AutoPipelineForText2Image` loads from a directory."""

import gc
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import torch

from deployments.diffusers_calls import PipelineCall
from deployments.diffusers_schedulers import scheduler_of
from deployments.image_encoding import encoded, parameters_text
from deployments.remembered_prompts import RememberedPrompts
from deployments.transformers_checkpoint import device_of, loading
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.images import IMAGE_MIME, Image, ImageEvent, Images, Size, TextToImage
from serve_app.core.media import BlobStore
from serve_app.core.message import Message, Progress
from serve_app.core.options import DiffusersOptions
from serve_app.core.threads import pushed


class Stopped(Exception):
    """Nobody waits for the picture any more."""


class Drawn(Message):
    """A finished picture's file."""

    data: bytes
    seed: int
    size: Size
    was_known: bool
    was_blacked: bool


Event = Progress | Drawn
Push = Callable[[Event], None]


class DiffusersImages:
    """An ImageModel. Pictures are drawn one after the other in one thread, each with a generator of
    its own, so that a seed gives the same picture alone and among others.
    """

    def __init__(
        self, options: DiffusersOptions, model: Model, *, path: Path | None, blobs: BlobStore
    ) -> None:
        self.context_length: int | None = None
        self._model = model
        self._blobs = blobs
        self._device = device_of(options)
        self._pipeline = _loaded(options, model, path, self._device)
        self._scheduler = self._pipeline.scheduler
        self._call = PipelineCall(self._pipeline, options)
        is_whole = options.offload == "none"
        # Offloading hangs hooks of its own on the encoders, again after every picture.
        self._prompts = RememberedPrompts(self._pipeline.components if is_whole else {})
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="diffusers")

    async def start(self) -> None:
        """Nothing to start."""

    async def close(self) -> None:
        """Free the weights; a picture under way is finished by its thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._pipeline = self._scheduler = None
        self._prompts = RememberedPrompts({})
        _free_memory()

    async def text_to_image(self, request: TextToImage) -> AsyncGenerator[ImageEvent]:
        """See ImageModel. BackendUnavailable with the code `out_of_memory` when it is."""
        images: list[Image] = []
        warnings = self._call.warnings(request)
        is_known = True
        events: AsyncGenerator[Event] = pushed(partial(self._draw, request), self._thread)
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Progress):
                    yield event
                    continue
                blob = await self._blobs.write(_once(event.data), mime=IMAGE_MIME[request.format])
                images.append(Image(image=blob, seed=event.seed, size=event.size))
                is_known = is_known and event.was_known
                if event.was_blacked:
                    warnings.append(f"image {len(images) - 1}: blacked out by the safety checker")
        yield Images(images=tuple(images), prompt_cache_hit=is_known, warnings=tuple(warnings))

    def _draw(self, request: TextToImage, push: Push, is_stopped: Callable[[], bool]) -> None:
        """Blocks. The pipeline is as before when it is left, however that is."""
        pipeline, is_short = self._pipeline, False
        checker = getattr(pipeline, "safety_checker", None)
        try:
            pipeline.scheduler = scheduler_of(self._scheduler, request.scheduler)
            if checker is not None and not request.checks_safety:
                pipeline.safety_checker = None
            Drawing(pipeline, self._call, self._prompts, request).run(push, is_stopped)
        except Stopped:
            pipeline.maybe_free_model_hooks()
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            is_short = True
        finally:
            if checker is not None:
                pipeline.safety_checker = checker
        if is_short:
            # Only here, where the error with its frames is gone, can their tensors be freed.
            pipeline.maybe_free_model_hooks()
            _free_memory()
            raise self._out_of_memory(request)

    def _out_of_memory(self, request: TextToImage) -> BackendUnavailable:
        size = request.size
        asked = f"{size.width}x{size.height}" if size else "the model's own size"
        return BackendUnavailable(
            f"model {self._model.id!r} ran out of memory at {asked}; ask for a smaller size",
            provider="diffusers",
            code="out_of_memory",
        )


class Drawing:
    """One request at work in the thread."""

    def __init__(
        self,
        pipeline: Any,
        call: PipelineCall,
        prompts: RememberedPrompts,
        request: TextToImage,
    ) -> None:
        self._pipeline = pipeline
        self._call = call
        self._prompts = prompts
        self._request = request
        self._steps = call.steps(request)

    def run(self, push: Push, is_stopped: Callable[[], bool]) -> None:
        """Hand on progress and pictures. Raises Stopped between two steps."""
        for index in range(self._request.count):
            if is_stopped():
                raise Stopped
            push(self._picture(index, push, is_stopped))

    def _picture(self, index: int, push: Push, is_stopped: Callable[[], bool]) -> Drawn:
        request = self._request
        seed = request.seed + index
        # On the CPU, so that a seed means the same picture on every device.
        arguments: dict[str, Any] = {"generator": torch.Generator("cpu").manual_seed(seed)}
        if self._call.tells_steps:
            arguments["callback_on_step_end"] = self._told(index, push, is_stopped)
        self._prompts.begin()
        output = self._pipeline(**self._call.arguments(request), **arguments)
        image = output.images[0].convert("RGB")
        flagged = getattr(output, "nsfw_content_detected", None) or [False]
        push(self._progress(index, self._steps))
        size = Size(width=image.width, height=image.height)
        parameters = parameters_text(
            request,
            seed=seed,
            size=size,
            steps=self._steps,
            guidance_scale=self._call.guidance_scale(request),
            scheduler=request.scheduler or type(self._pipeline.scheduler).__name__,
        )
        data = encoded(
            image, request.format, compression=request.compression, parameters=parameters
        )
        return Drawn(
            data=data,
            seed=seed,
            size=size,
            was_known=self._prompts.was_hit,
            was_blacked=bool(flagged[0]),
        )

    def _told(
        self, index: int, push: Push, is_stopped: Callable[[], bool]
    ) -> Callable[[Any, int, Any, dict[str, Any]], dict[str, Any]]:
        def told(pipeline: Any, step: int, _: Any, values: dict[str, Any]) -> dict[str, Any]:
            if is_stopped():
                raise Stopped
            # Some schedulers take more steps than they are asked for.
            count = getattr(pipeline, "num_timesteps", None) or self._steps
            push(self._progress(index, min(self._steps, round((step + 1) * self._steps / count))))
            return values

        return told

    def _progress(self, index: int, step: int) -> Progress:
        total = self._steps * self._request.count
        return Progress(phase="denoise", current=index * self._steps + step, total=total)


def _loaded(
    options: DiffusersOptions, model: Model, path: Path | None, device: torch.device
) -> Any:
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    if options.offload != "none" and device.type != "cuda":
        raise BackendUnavailable(
            f"model {model.id!r}: offload {options.offload!r} needs a CUDA device; set it to 'none'"
        )
    diffusers.utils.logging.disable_progress_bar()
    with loading(model, path, library="diffusers") as directory:
        arguments = {"dtype": _dtype(options, device), "local_files_only": True}
        pipeline = diffusers.AutoPipelineForText2Image.from_pretrained(
            str(directory), **(arguments | options.extra)
        )
        _place(pipeline, options, device)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _place(pipeline: Any, options: DiffusersOptions, device: torch.device) -> None:
    match options.offload:
        case "none":
            pipeline.to(device)
        case "model":
            pipeline.enable_model_cpu_offload()
        case "sequential":
            pipeline.enable_sequential_cpu_offload()


def _dtype(options: DiffusersOptions, device: torch.device) -> torch.dtype:
    if options.dtype != "auto":
        return getattr(torch, options.dtype)  # type: ignore[no-any-return]
    return torch.float32 if device.type == "cpu" else torch.bfloat16


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "not enough memory" in str(error)


def _free_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


async def _once(data: bytes) -> AsyncGenerator[bytes]:
    yield data
