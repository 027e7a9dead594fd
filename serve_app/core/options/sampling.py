"""How tokens are chosen where a request leaves it open."""

from typing import Any

from pydantic import Field

from serve_app.core.options.engine import Section
from serve_app.core.text.chat import Sampling

LAST_RESORT = 0.7
"""The temperature where nobody has said one."""


class SamplingDefaults(Section):
    """What a checkpoint, or the configuration of a model, says; None says nothing. 0 turns `top_k`
    and `min_p` off.
    """

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    min_p: float | None = Field(default=None, ge=0, le=1)
    repeat_penalty: float | None = Field(default=None, gt=0, le=100)


class SettledSampling(Sampling):
    """With nothing left open that a model needs."""

    temperature: float = LAST_RESORT
    top_p: float = 1.0
    repeat_penalty: float = 1.0


NOTHING_SAID = SamplingDefaults()


def settled(sampling: Sampling, *defaults: SamplingDefaults) -> SettledSampling:
    """What the request says, else the first of `defaults` that says it."""
    if isinstance(sampling, SettledSampling):
        return sampling
    chosen: dict[str, Any] = dict(sampling)
    for name in SamplingDefaults.model_fields:
        said = (getattr(each, name) for each in (sampling, *defaults))
        usual = SettledSampling.model_fields[name].default
        chosen[name] = next((value for value in said if value is not None), usual)
    for name in ("top_k", "min_p"):
        # To engines what is off is as if nobody had ever said it.
        chosen[name] = chosen[name] or None
    return SettledSampling.model_construct(**chosen)
