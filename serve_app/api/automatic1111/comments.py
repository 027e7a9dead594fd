"""What engines had to say of a request, in the words of this dialect."""

from collections.abc import Iterable, Mapping

from serve_app.api.automatic1111.sampler_names import SAMPLERS, SCHEDULES

WORDS: Mapping[str, str] = {
    "size": "width and height",
    "sampler": "sampler_name",
    "schedule": "scheduler",
    "churn": "s_churn",
    "noise": "s_noise",
    "guidance_scale": "cfg_scale",
    "strength": "denoising_strength",
    "variation": "subseed",
    "weighs_words": "weights in the prompt",
    "clip_skip": "CLIP_stop_at_last_layers",
    "is_tileable": "tiling",
    "resize": "resize_mode",
    "noise_scale": "initial_noise_multiplier",
    "mask_fill": "inpainting_fill",
    "hires": "enable_hr",
}
"""By what a warning begins with, which is a field of the core."""
NAMES: Mapping[str, Mapping[str, str]] = {
    "sampler": {each.sampler: each.name for each in SAMPLERS if each.sampler},
    "schedule": {each.schedule: each.label for each in SCHEDULES if each.schedule},
}
"""By the same, what the values in quotation marks are called."""


def comments(warnings: Iterable[str]) -> list[str]:
    """The warnings, each once and about the caller's own fields."""
    return [*dict.fromkeys(map(comment, warnings))]


def comment(warning: str) -> str:
    """One of them."""
    field, colon, rest = warning.partition(": ")
    if not colon or field not in WORDS:
        return warning
    parts = rest.split("'")
    names = NAMES.get(field, {})
    parts[1::2] = [names.get(value, value) for value in parts[1::2]]
    told = "'".join(parts)
    return f"{WORDS[field]}: {told}"
