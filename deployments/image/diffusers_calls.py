"""How a diffusers pipeline wants to be called: what it takes, its own defaults, its sizes."""

import inspect
import math
from dataclasses import dataclass
from typing import Any, Literal

from deployments.image.guided_prompts import GuidedPrompts
from deployments.image.learned_words import LearnedWords
from deployments.image.pipeline_abilities import NO_EFFECT, abilities_of
from deployments.image.weighted_embeddings import WeightedEmbeddings
from deployments.media.image_sources import ImageSource, SizeRule
from deployments.media.weighted_prompts import plain_text
from serve_app.core.image.attachments import Lora, References
from serve_app.core.image.images import (
    ImageGeneration,
    ImageToImage,
    LatentResampling,
    MaskFill,
    Quality,
    Size,
    Variation,
)
from serve_app.core.image.samplers import ImageSampling
from serve_app.core.notices import Notice
from serve_app.core.options.image import DiffusersOptions

Mode = Literal["text_to_image", "image_to_image", "inpaint"]

STEP_SHARES: dict[Quality, float] = {"low": 0.6, "standard": 1.0, "high": 1.5}
MAX_STEPS = 150
STEPS = 50
"""For pipelines that name no number of their own."""

LEAST_STEP_PX = 8
"""Many pipelines refuse other sizes, whatever their latents are."""

FAINTEST = 0.001
"""A strength below which nothing changes; it would take a thousand steps to begin at the last."""


@dataclass(frozen=True)
class PipelineSettings:
    """What images have in common that are generated in one call. `size` is None for the model's
    own. Pipelines treat an absent negative prompt differently from an empty one.
    """

    mode: Mode
    size: Size | None
    steps: int
    guidance_scale: float | None
    strength: float | None
    scheduler: str | None
    checks_safety: bool
    has_negative: bool
    loras: tuple[Lora, ...]
    vae_model: str | None
    references: References | None
    sampling: ImageSampling | None
    weighs_words: bool
    steps_before: int
    words: tuple[str, ...]
    clip_skip: int
    is_tileable: bool
    keeps_latents: bool


@dataclass(frozen=True)
class ImagePrompt:
    """What is generated: the part of a call that differs from image to image. `latents` is a
    tensor, of what the source was decoded from.
    """

    prompt: str
    negative_prompt: str | None
    seed: int
    source: ImageSource | None
    variation: Variation | None = None
    noise_scale: float = 1.0
    mask_fill: MaskFill = "original"
    latents: Any = None
    latent_resampling: LatentResampling = "bilinear"


class PipelineCall:
    """The arguments of one kind of pipeline for any request. `first` is the pipeline whose own
    steps and guidance are the model's.
    """

    def __init__(
        self,
        pipeline: Any,
        options: DiffusersOptions,
        *,
        first: Any,
        words: LearnedWords | None = None,
    ) -> None:
        self.can = abilities_of(pipeline)
        self._words = words
        self._pipeline = pipeline
        self._accepted = _defaults(pipeline)
        self._defaults = self._accepted | _defaults(first)
        self._options = options
        # Some models are distilled to follow `guidance_scale` as a number that they are told; what
        # compares with a negative prompt is `true_cfg_scale`, which is off by default in these.
        true_scale = self._accepted.get("true_cfg_scale")
        self._is_guided_by_negatives = true_scale is None or true_scale > 1
        is_true = true_scale is not None and true_scale > 1
        self._guidance = "true_cfg_scale" if is_true else "guidance_scale"

    def settings(
        self,
        mode: Mode,
        request: ImageGeneration,
        source: ImageSource | None,
        rule: SizeRule,
        *,
        words: tuple[str, ...] = (),
    ) -> Any:
        """What this request has in common with others; `words` are learned ones that it names."""
        size = request.size and rule.rounded(request.size)
        strength = request.strength if isinstance(request, ImageToImage) else None
        if source is not None:
            size = Size(width=source.image.width, height=source.image.height)
        return PipelineSettings(
            mode=mode,
            size=size,
            steps=self.steps(request),
            guidance_scale=self._guidance_scale(request),
            strength=strength if "strength" in self._accepted else None,
            scheduler=request.scheduler,
            checks_safety=request.checks_safety,
            has_negative=request.negative_prompt is not None,
            loras=request.loras,
            vae_model=request.vae_model,
            references=request.references,
            sampling=request.sampling,
            weighs_words=request.weighs_words and self.can.read_prompts,
            steps_before=request.steps_before if request.weighs_words else 0,
            words=words,
            clip_skip=request.clip_skip if self.can.read_prompts else 1,
            is_tileable=request.is_tileable and self.can.be_seamless,
            keeps_latents=request.keeps_latents and self.can.keep_latents,
        )

    def steps(self, request: ImageGeneration) -> int:
        """As asked, or the model's own scaled by the quality."""
        if request.steps is not None:
            return request.steps
        own = self._options.steps or self._defaults.get("num_inference_steps") or STEPS
        return max(1, min(MAX_STEPS, round(own * STEP_SHARES[request.quality])))

    def can_batch(self, settings: PipelineSettings) -> bool:
        """References are not laid out for batches, and pipelines that edit by instruction take
        several images for one image.
        """
        is_plain = settings.mode == "text_to_image" or "strength" in self._accepted
        return is_plain and settings.references is None

    def arguments(
        self,
        settings: PipelineSettings,
        subjects: list[ImagePrompt],
        guided: GuidedPrompts | None = None,
    ) -> dict[str, Any]:
        """Everything but generators, callback and what is attached."""
        arguments: dict[str, Any] = {"num_inference_steps": settings.steps}
        arguments |= self._prompts(settings, subjects, guided)
        sampling = settings.sampling
        if sampling is not None and sampling.eta is not None and "eta" in self._accepted:
            arguments["eta"] = sampling.eta
        if settings.guidance_scale is not None:
            arguments[self._guidance] = settings.guidance_scale
        if settings.size is not None and "width" in self._accepted:
            arguments |= {"width": settings.size.width, "height": settings.size.height}
        if settings.strength is not None:
            # A pipeline takes the last `strength` of its steps, rounded down, and fails on none.
            fewest = math.ceil(1 / settings.strength)
            arguments["strength"] = settings.strength
            arguments["num_inference_steps"] = max(settings.steps, fewest)
        sources = [s.source for s in subjects if s.source is not None]
        if sources:
            arguments["image"] = _listed([source.image for source in sources])
        if settings.mode == "inpaint":
            arguments["mask_image"] = _listed([source.mask for source in sources])
        return arguments

    def guided(
        self, settings: PipelineSettings, subjects: list[ImagePrompt]
    ) -> GuidedPrompts | None:
        """The prompts step by step, where they are written in a notation that can say so."""
        if not settings.weighs_words:
            return None
        return GuidedPrompts(
            [s.prompt for s in subjects],
            [s.negative_prompt for s in subjects],
            steps=settings.steps,
            steps_before=settings.steps_before,
        )

    def _prompts(
        self,
        settings: PipelineSettings,
        subjects: list[ImagePrompt],
        guided: GuidedPrompts | None,
    ) -> dict[str, Any]:
        """As texts, or as what the encoders make of them."""
        prompts = [s.prompt for s in subjects]
        # The library's own `clip_skip` fails with the text encoders of transformers 5.
        if guided is not None or settings.words or settings.clip_skip > 1:
            negatives = [s.negative_prompt for s in subjects]
            embeddings = WeightedEmbeddings(self._pipeline, self._words, settings.words)
            readings = embeddings.arguments(
                guided.texts if guided else prompts,
                guided.negatives if guided else negatives,
                clip_skip=settings.clip_skip,
                weighs_words=settings.weighs_words,
            )
            return guided.begun(readings) if guided else readings
        arguments: dict[str, Any] = {"prompt": _listed(prompts)}
        if settings.has_negative and "negative_prompt" in self._accepted:
            arguments["negative_prompt"] = _listed([s.negative_prompt for s in subjects])
        return arguments

    def prompt(self, request: ImageGeneration, text: str | None) -> str | None:
        """The text, without weights where they could not be followed."""
        is_plain = request.weighs_words and not self.can.read_prompts
        return plain_text(text) if text is not None and is_plain else text

    def warnings(self, request: ImageGeneration) -> list[Notice]:
        """What the model cannot follow to the letter."""
        warnings = self.can.warnings(request)
        takes_negatives = "negative_prompt" in self._accepted and self._is_guided_by_negatives
        if request.negative_prompt and not takes_negatives:
            warnings.append(Notice(field="negative_prompt", text=NO_EFFECT))
        elif request.negative_prompt and (self._guidance_scale(request) or 0) <= 1:
            said = "has no effect with a guidance scale up to 1"
            warnings.append(Notice(field="negative_prompt", text=said))
        if request.guidance_scale is not None and self._guidance not in self._accepted:
            warnings.append(Notice(field="guidance_scale", text=NO_EFFECT))
        if isinstance(request, ImageToImage) and "strength" not in self._accepted:
            warnings.append(Notice(field="strength", text=NO_EFFECT))
        return warnings

    @property
    def reports_steps(self) -> bool:
        """Whether the pipeline calls back after each step."""
        return "callback_on_step_end" in self._accepted

    def _guidance_scale(self, request: ImageGeneration) -> float | None:
        """As asked or the model's own; None for a pipeline without guidance."""
        if self._guidance not in self._accepted:
            return None
        requested = (request.guidance_scale, self._options.guidance_scale)
        own = self._defaults[self._guidance]
        return next((value for value in requested if value is not None), own)


def size_rule(pipeline: Any) -> SizeRule:
    """Pixels per cell of the latents, times the cells per patch of a transformer."""
    cell = int(getattr(pipeline, "vae_scale_factor", 8))
    transformer = getattr(pipeline, "transformer", None)
    patch = getattr(getattr(transformer, "config", None), "patch_size", 1)
    processor = getattr(pipeline, "image_processor", None)
    wanted = getattr(getattr(processor, "config", None), "vae_scale_factor", cell)
    step_px = max(LEAST_STEP_PX, cell * (patch if isinstance(patch, int) else 1), int(wanted))
    own = getattr(pipeline, "default_sample_size", None)
    if own is None:
        own = getattr(getattr(getattr(pipeline, "unet", None), "config", None), "sample_size", None)
    side = own * cell if isinstance(own, int) else 1024
    return SizeRule(step_px, Size(width=side, height=side))


def _defaults(pipeline: Any) -> dict[str, Any]:
    parameters = inspect.signature(type(pipeline).__call__).parameters
    return {name: given.default for name, given in parameters.items()}


def _listed(values: list[Any]) -> Any:
    """One alone is given as it is, which every pipeline understands."""
    return values[0] if len(values) == 1 else values
