"""How a diffusers pipeline wants to be called: what it takes, its own defaults, its sizes."""

import inspect
from typing import Any

from serve_app.core.images import Quality, Size, TextToImage
from serve_app.core.options import DiffusersOptions

STEP_SHARES: dict[Quality, float] = {"low": 0.6, "standard": 1.0, "high": 1.5}
MAX_STEPS = 150
STEPS = 50
"""For pipelines that name no number of their own."""


class PipelineCall:
    """The arguments of one kind of pipeline for any request."""

    def __init__(self, pipeline: Any, options: DiffusersOptions) -> None:
        parameters = inspect.signature(type(pipeline).__call__).parameters
        self._defaults = {name: given.default for name, given in parameters.items()}
        self._options = options
        self.size_step_px = _size_step(pipeline)
        # Some models are distilled to follow `guidance_scale` as a number that they are told; what
        # compares with a negative prompt is `true_cfg_scale`, which is off by default in these.
        true_scale = self._defaults.get("true_cfg_scale")
        self._is_guided_by_negatives = true_scale is None or true_scale > 1
        is_true = true_scale is not None and true_scale > 1
        self._guidance = "true_cfg_scale" if is_true else "guidance_scale"

    def steps(self, request: TextToImage) -> int:
        """As asked, or the model's own scaled by the quality."""
        if request.steps is not None:
            return request.steps
        own = self._options.steps or self._defaults.get("num_inference_steps") or STEPS
        return max(1, min(MAX_STEPS, round(own * STEP_SHARES[request.quality])))

    def guidance_scale(self, request: TextToImage) -> float | None:
        """As asked or the model's own; None for a pipeline without guidance."""
        if self._guidance not in self._defaults:
            return None
        asked = (request.guidance_scale, self._options.guidance_scale)
        own = self._defaults[self._guidance]
        return next((value for value in asked if value is not None), own)

    def size(self, request: TextToImage) -> Size | None:
        """The asked size, rounded to what the model can draw."""
        if request.size is None:
            return None
        step = self.size_step_px
        width, height = (
            max(step, round(length / step) * step)
            for length in (request.size.width, request.size.height)
        )
        return Size(width=width, height=height)

    def arguments(self, request: TextToImage) -> dict[str, Any]:
        """Everything but the generator and the callback."""
        arguments: dict[str, Any] = {
            "prompt": request.prompt,
            "num_inference_steps": self.steps(request),
        }
        guidance_scale = self.guidance_scale(request)
        if guidance_scale is not None:
            arguments[self._guidance] = guidance_scale
        if request.negative_prompt is not None and "negative_prompt" in self._defaults:
            arguments["negative_prompt"] = request.negative_prompt
        size = self.size(request)
        if size is not None:
            arguments |= {"width": size.width, "height": size.height}
        return arguments

    def warnings(self, request: TextToImage) -> list[str]:
        """What the model cannot follow to the letter."""
        warnings = []
        size = self.size(request)
        if size != request.size and size is not None:
            warnings.append(
                f"size: rounded to {size.width}x{size.height}, a multiple of {self.size_step_px}"
            )
        takes_negatives = "negative_prompt" in self._defaults and self._is_guided_by_negatives
        if request.negative_prompt and not takes_negatives:
            warnings.append("negative_prompt: this model follows none")
        elif request.negative_prompt and (self.guidance_scale(request) or 0) <= 1:
            warnings.append("negative_prompt: has no effect with a guidance_scale up to 1")
        if request.guidance_scale is not None and self._guidance not in self._defaults:
            warnings.append("guidance_scale: this model takes none")
        return warnings

    @property
    def tells_steps(self) -> bool:
        """Whether the pipeline calls back after each step."""
        return "callback_on_step_end" in self._defaults


def _size_step(pipeline: Any) -> int:
    """Pixels per cell of the latents, times the cells per patch of a transformer."""
    cell = int(getattr(pipeline, "vae_scale_factor", 8))
    transformer = getattr(pipeline, "transformer", None)
    patch = getattr(getattr(transformer, "config", None), "patch_size", 1)
    processor = getattr(pipeline, "image_processor", None)
    wanted = getattr(getattr(processor, "config", None), "vae_scale_factor", cell)
    return max(cell * (patch if isinstance(patch, int) else 1), int(wanted))
