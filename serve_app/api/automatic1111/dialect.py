"""The dialect as a value."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from serve_app.api.automatic1111 import (
    extras,
    generation,
    interrogation,
    lists,
    png_info,
    progress,
    settings,
)
from serve_app.api.automatic1111.error_object import error_object, velesio_object
from serve_app.api.automatic1111.progress import progress_object
from serve_app.api.automatic1111.sampler_names import NAMES
from serve_app.api.dialect import JOB, Dialect, OwnNames, PathRule
from serve_app.api.served_files import ServedFiles
from serve_app.core.config import AppConfig
from serve_app.core.jobs import Job

PARTS = (generation, extras, interrogation, png_info, progress, settings, lists)
RULES = (
    PathRule("POST", "/sdapi/v1/txt2img", category="image"),
    PathRule("POST", "/sdapi/v1/img2img", category="image"),
    PathRule("POST", "/sdapi/v1/extra-single-image", category="image"),
    PathRule("POST", "/sdapi/v1/extra-batch-images", category="image"),
    PathRule("POST", "/sdapi/v1/interrogate", category="image"),
    PathRule("POST", "/sdapi/v1/png-info", category="image"),
    PathRule("*", "/sdapi/v1/progress", rate_class="read"),
    PathRule("*", "/internal/**", rate_class="read"),
)
IMAGES: dict[str, OwnNames] = {
    "prompt": "prompt",
    "negative_prompt": "negative_prompt",
    "model": "sd_model_checkpoint",
    "count": "n_iter",
    "batch_size": "batch_size",
    "size": ("width", "height"),
    "seed": "seed",
    "steps": "steps",
    "guidance_scale": "cfg_scale",
    "sampling": "sampler_name",
    "sampling.schedule": "scheduler",
    "sampling.sampler": "sampler_name",
    "sampling.eta": "eta",
    "sampling.churn": "s_churn",
    "sampling.noise": "s_noise",
    "variation": "subseed",
    "weighs_words": "prompt",
    "clip_skip": "CLIP_stop_at_last_layers",
    "is_tileable": "tiling",
    "vae_model": "sd_vae",
}
SOURCE: dict[str, OwnNames] = IMAGES | {
    "image": "init_images",
    "strength": "denoising_strength",
    "resize": "resize_mode",
    "noise_scale": "initial_noise_multiplier",
}
ENLARGING = {"image": "image", "scale": "upscaling_resize", "model": "upscaler_1"}
FIELDS: Mapping[str, Mapping[str, OwnNames]] = {
    JOB: {"id": "id_task", "ref_id": "force_task_id"},
    "image.generation": IMAGES | {"hires": "enable_hr"},
    "image.edit": SOURCE,
    "image.inpaint": SOURCE | {"mask": "mask", "mask_fill": "inpainting_fill"},
    "image.upscale": ENLARGING,
    "image.process": {"image": "image", "steps": "upscaling_resize"},
    "image.description": {"image": "image", "model": "model"},
}
"""This dialect's names for the fields that errors and warnings may name."""
VALUES: Mapping[str, Mapping[str, str]] = {
    "sampling.sampler": {str(ours): name for ours, name in NAMES.samplers.items()},
    "sampling.schedule": {str(ours): name for ours, name in NAMES.schedules.items()},
}
"""By such a field, what its values are called."""


async def render_job(job: Job, dialect: Dialect, files: ServedFiles) -> dict[str, Any]:  # noqa: ARG001
    """As its progress; no request of this dialect has a callback."""
    return progress_object(job)


def configured(dialect: Dialect, config: AppConfig) -> Dialect:
    """With errors in the shape that the operator has chosen."""
    is_velesio = config.sdapi.error_style == "velesio"
    return replace(dialect, render_error=velesio_object) if is_velesio else dialect


AUTOMATIC1111 = Dialect(
    name="automatic1111",
    prefixes=("/sdapi", "/internal"),
    routes=[route for part in PARTS for route in part.router.routes],
    rules=RULES,
    render_error=error_object,
    render_job=render_job,
    fields=FIELDS,
    values=VALUES,
    # Clients that can send Basic alone give up where it is not offered.
    challenge='Basic realm="sd", Bearer',
    takes_bare_basic=True,
    configure=configured,
)
