"""What a pipeline is given as latents: noise that differs from its own, sources that are resized.

Imported only where diffusers is.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from deployments.image.diffusers_calls import ImagePrompt, PipelineSettings
from deployments.image.latent_files import resampled
from deployments.image.pipeline_abilities import PipelineAbilities
from deployments.image.varied_noise import NoiseWishes, first_noise, use_noise
from serve_app.core.image.images import Size


def noise_arguments(
    pipeline: Any,
    can: PipelineAbilities,
    settings: PipelineSettings,
    subjects: Sequence[ImagePrompt],
    generators: Sequence[torch.Generator],
) -> dict[str, Any]:
    """The noise as an argument where images begin with it; else the scheduler is made to use it."""
    wishes = [_wishes(subject) for subject in subjects]
    if not can.vary or all(wish.is_plain for wish in wishes):
        return {}
    is_pure = settings.mode == "inpaint" and settings.strength == 1 and not can.is_packed
    if settings.mode != "text_to_image" and not is_pure:
        use_noise(pipeline.scheduler, wishes, cell_px=can.cell_px)
        return {}
    if all(wish.variation is None for wish in wishes):
        return {}
    size = settings.size or _own_size(pipeline)
    shape = can.noise_shape(size)
    dtype = (getattr(pipeline, "unet", None) or pipeline.transformer).dtype
    noise = first_noise(generators, wishes, shape, dtype=dtype, cell_px=can.cell_px)
    if can.is_packed:
        noise = pipeline._pack_latents(noise, len(noise), *shape)
    return {"latents": noise}


def sources_as_latents(
    pipeline: Any, can: PipelineAbilities, subjects: Sequence[ImagePrompt]
) -> dict[str, Any]:
    """The sources that are resized as latents, in the place of their images."""
    sources = [subject.source for subject in subjects if subject.source is not None]
    if not can.resize_latents or not sources or any(s.unscaled is None for s in sources):
        return {}
    rows = []
    for subject, source in zip(subjects, sources, strict=True):
        width, height = source.image.size
        latents = subject.latents
        if latents is None:
            latents = _encoded(pipeline, source.unscaled)
        latents = latents.to(pipeline._execution_device, pipeline.unet.dtype)
        cells = (height // can.cell_px, width // can.cell_px)
        rows.append(resampled(latents, cells, subject.latent_resampling))
    return {"image": torch.cat(rows)}


def _encoded(pipeline: Any, image: Any) -> torch.Tensor:
    vae, device = pipeline.vae, pipeline._execution_device
    values = torch.from_numpy(np.asarray(image, dtype=np.float32) / 127.5 - 1)
    with torch.no_grad():
        encoded = vae.encode(values.permute(2, 0, 1)[None].to(device, vae.dtype))
    latents: torch.Tensor = encoded.latent_dist.mode() * vae.config.scaling_factor
    return latents


def _wishes(subject: ImagePrompt) -> NoiseWishes:
    source = subject.source
    return NoiseWishes(
        subject.seed,
        variation=subject.variation,
        scale=subject.noise_scale,
        fill=subject.mask_fill,
        mask=source.mask if source else None,
    )


def _own_size(pipeline: Any) -> Size:
    """What the pipeline generates when it is told nothing."""
    side = getattr(pipeline, "default_sample_size", None) or pipeline.unet.config.sample_size
    return Size(width=side * pipeline.vae_scale_factor, height=side * pipeline.vae_scale_factor)
