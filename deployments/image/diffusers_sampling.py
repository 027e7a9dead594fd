"""Samplers and schedules as diffusers' schedulers.

Imported only where diffusers is.
"""

from collections.abc import Callable
from functools import partial
from inspect import signature
from typing import Any, NamedTuple

import diffusers

from deployments.image.ancestral_noise import scale_ancestral_noise
from deployments.image.noise_schedules import RAMPS, Ramp, ramp_of, set_ramped_timesteps
from serve_app.core.image.samplers import (
    ImageFacts,
    ImageSampling,
    Sampler,
    Schedule,
    not_taken,
)
from serve_app.core.notices import Notice

SDE = {"algorithm_type": "sde-dpmsolver++"}
ODE = {"algorithm_type": "dpmsolver++"}
MULTISTEP, SINGLESTEP = "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler"
Kind = tuple[str, dict[str, Any]]

DIFFUSION: dict[Sampler, Kind] = {
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "lms": ("LMSDiscreteScheduler", {}),
    "dpm2": ("KDPM2DiscreteScheduler", {}),
    "dpm2_a": ("KDPM2AncestralDiscreteScheduler", {}),
    "dpm++_2s": (SINGLESTEP, ODE | {"solver_order": 2}),
    "dpm++_2m": (MULTISTEP, ODE | {"solver_order": 2}),
    "dpm++_sde": (SINGLESTEP, SDE | {"solver_order": 2}),
    "dpm++_2m_sde": (MULTISTEP, SDE | {"solver_order": 2}),
    "dpm++_2m_sde_heun": (MULTISTEP, SDE | {"solver_order": 2, "solver_type": "heun"}),
    "dpm++_3m_sde": (MULTISTEP, SDE | {"solver_order": 3}),
    "ddim": ("DDIMScheduler", {}),
    "plms": ("PNDMScheduler", {"skip_prk_steps": True}),
    "unipc": ("UniPCMultistepScheduler", {}),
    "lcm": ("LCMScheduler", {}),
    "deis": ("DEISMultistepScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
}
FLOW: dict[Sampler, Kind] = {
    "euler": ("FlowMatchEulerDiscreteScheduler", {}),
    "lcm": ("FlowMatchLCMScheduler", {}),
}
"""For models that were trained by flow matching."""

SPACINGS: dict[Schedule, str] = {
    "uniform": "linspace",
    "normal": "linspace",
    "simple": "trailing",
    "sgm_uniform": "trailing",
    "ddim": "leading",
}
FLAGS = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas")
NO_EFFECT = "has no effect with this sampler"
CHURN = ("s_churn", "s_tmin", "s_tmax", "s_noise")


class SampledBy(NamedTuple):
    """A fresh scheduler, what of the request it cannot do, and what it does instead."""

    scheduler: Any
    notes: tuple[Notice, ...]
    used: ImageSampling | None


class SamplerTable:
    """What can be run in the place of a model's own scheduler."""

    def __init__(self, own: Any, *, is_large: bool) -> None:
        self._own = own
        self._is_large = is_large
        self._is_flow = type(own).__name__.startswith("FlowMatch")
        kinds = FLOW if self._is_flow else DIFFUSION if getattr(own, "compatibles", ()) else {}
        self._kinds = {name: kind for name, kind in kinds.items() if _is_there(kind[0])}

    @property
    def samplers(self) -> tuple[Sampler, ...]:
        """The names; the first one stands in for others. Of a model that runs with its own
        scheduler only, whatever that is, `euler`.
        """
        return tuple(self._kinds) or ("euler",)

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """Those that at least one of the samplers takes."""
        ramps = [name for name in RAMPS if not (self._is_flow and name == "align_your_steps")]
        spaced: list[Schedule] = [] if self._is_flow else list(SPACINGS)
        return (*ramps, "beta", *spaced) if self._kinds else ()

    def facts(self, *, weighs_words: bool, resizes_latents: bool) -> ImageFacts:
        """With what else the model can do."""
        return ImageFacts(
            samplers=self.samplers,
            schedules=self.schedules,
            weighs_words=weighs_words,
            resizes_latents=resizes_latents,
        )

    def scheduler(self, sampling: ImageSampling) -> SampledBy:
        """What the sampling asks for, as far as the model and diffusers have it."""
        notes: list[Notice] = []
        sampler = self._runnable(sampling.sampler, notes)
        kind, arguments = self._kind(sampler)
        schedule = sampling.schedule
        taken = signature(kind.__init__).parameters
        ramp: Ramp | None = None
        if schedule is not None:
            arguments = arguments | dict.fromkeys(FLAGS, False)
            ramp = ramp_of(schedule, is_large=self._is_large) if self._has(schedule) else None
            is_ancestral = kind is diffusers.EulerAncestralDiscreteScheduler
            if schedule in SPACINGS and "timestep_spacing" in taken:
                arguments["timestep_spacing"] = SPACINGS[schedule]
            elif schedule == "beta" and "use_beta_sigmas" in taken:
                arguments["use_beta_sigmas"] = True
            elif ramp is not None and "use_karras_sigmas" in taken:
                arguments["use_karras_sigmas"] = True
            elif ramp is None or not is_ancestral:
                notes.append(not_taken("schedule", "this sampler", schedule))
                ramp = schedule = None
        fitting = {name: value for name, value in arguments.items() if name in taken}
        scheduler: Any = kind.from_config(self._own.config, **fitting)
        if ramp is not None:
            _use_ramp(scheduler, ramp)
        notes += _use_details(scheduler, sampling)
        used = sampling.model_copy(update={"sampler": sampler, "schedule": schedule})
        return SampledBy(scheduler, tuple(notes), used)

    def _runnable(self, sampler: Sampler | None, notes: list[Notice]) -> Sampler | None:
        """The same, or what stands in for it."""
        if sampler is None or sampler in self.samplers:
            return sampler
        first = self.samplers[0]
        used = first if self._kinds else None
        notes.append(not_taken("sampler", "this model", sampler, used))
        return first

    def _kind(self, sampler: Sampler | None) -> tuple[Any, dict[str, Any]]:
        if sampler is None or not self._kinds:
            return type(self._own), {}
        name, arguments = self._kinds[sampler]
        return getattr(diffusers, name), arguments

    def _has(self, schedule: Schedule) -> bool:
        return schedule in self.schedules


def _is_there(name: str) -> bool:
    """Diffusers puts a stand-in in the place of what needs an absent library."""
    return not hasattr(getattr(diffusers, name), "_backends")


def _use_ramp(scheduler: Any, ramp: Ramp) -> None:
    """Where a scheduler would compute the sigmas of Karras, it computes these."""
    if hasattr(scheduler, "_convert_to_karras"):

        def convert(in_sigmas: Any, num_inference_steps: int | None = None) -> Any:
            steps = num_inference_steps or scheduler.num_inference_steps
            return ramp(float(in_sigmas[-1]), float(in_sigmas[0]), steps)

        scheduler._convert_to_karras = convert
        return
    scheduler.set_timesteps = partial(
        set_ramped_timesteps, scheduler, scheduler.set_timesteps, ramp
    )


def _use_details(scheduler: Any, sampling: ImageSampling) -> list[Notice]:
    """Fix what steps take besides; what they do not take is noted."""
    taken = signature(scheduler.step).parameters
    values = {
        "s_churn": sampling.churn,
        "s_tmin": sampling.churn_from,
        "s_tmax": float("inf") if sampling.churn_to is None else sampling.churn_to,
        "s_noise": sampling.noise,
    }
    notes: list[Notice] = []
    if sampling.churn and "s_churn" not in taken:
        notes.append(Notice(field="sampling.churn", text=NO_EFFECT))
    if sampling.noise != 1 and "s_noise" not in taken:
        notes.append(Notice(field="sampling.noise", text=NO_EFFECT))
    if isinstance(scheduler, diffusers.EulerAncestralDiscreteScheduler):
        if sampling.eta not in (None, 1.0):
            scale_ancestral_noise(scheduler, sampling.eta)
    elif sampling.eta not in (None, 1.0) and "eta" not in taken:
        notes.append(Notice(field="sampling.eta", text=NO_EFFECT))
    fixed = {name: value for name, value in values.items() if name in taken}
    if sampling.churn or sampling.noise != 1:
        step: Callable[..., Any] = scheduler.step
        scheduler.step = partial(step, **fixed)
    return notes
