"""How noise becomes an image: samplers, and schedules of how much noise is left at each step."""

from typing import Literal

from pydantic import Field

from serve_app.core.message import Message
from serve_app.core.notices import Notice

Sampler = Literal[
    "euler_a",
    "euler",
    "heun",
    "lms",
    "dpm2",
    "dpm2_a",
    "dpm++_2s",
    "dpm++_2m",
    "dpm++_sde",
    "dpm++_2m_sde",
    "dpm++_2m_sde_heun",
    "dpm++_3m_sde",
    "ddim",
    "plms",
    "unipc",
    "lcm",
    "deis",
    "ddpm",
]
Schedule = Literal[
    "uniform",
    "karras",
    "exponential",
    "polyexponential",
    "sgm_uniform",
    "kl_optimal",
    "align_your_steps",
    "simple",
    "normal",
    "ddim",
    "beta",
]


class ImageSampling(Message):
    """A sampler and a schedule; None means the model's own, or the sampler's. A model that cannot
    run one uses another and says so.

    `eta` scales the noise that ancestral samplers and DDIM add after each step. `churn` and `noise`
    are those of Karras et al. (2022): noise added before a step while there is from `churn_from` to
    `churn_to` of it.
    """

    sampler: Sampler | None = None
    schedule: Schedule | None = None
    eta: float | None = Field(default=None, ge=0)
    churn: float = Field(default=0, ge=0)
    churn_from: float = Field(default=0, ge=0)
    churn_to: float | None = Field(default=None, ge=0)
    noise: float = Field(default=1, ge=0)


def not_taken(
    field: Literal["sampler", "schedule"], taker: str, wanted: str, used: str | None = None
) -> Notice:
    """That a model, or a sampler, runs another one, or its own."""
    instead = "its own" if used is None else "{!r}"
    return Notice(
        field=f"sampling.{field}",
        text=f"{{!r}} is not for {taker}; {instead} was used",
        values=(wanted,) if used is None else (wanted, used),
    )


class ImageFacts(Message):
    """What an image model can run. The first of the `samplers` stands in for those it cannot.
    With `weighs_words` it reads weights in prompts; with `resizes_latents` it enlarges what is not
    decoded yet.
    """

    samplers: tuple[Sampler, ...] = Field(min_length=1)
    schedules: tuple[Schedule, ...] = ()
    weighs_words: bool = False
    resizes_latents: bool = False


FLOW = ImageFacts(
    samplers=("euler", "lcm"),
    schedules=("karras", "exponential", "polyexponential", "kl_optimal", "beta"),
)
"""Of models that were trained by flow matching, as Flux and Stable Diffusion 3."""
