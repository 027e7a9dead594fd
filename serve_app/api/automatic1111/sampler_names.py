"""Samplers and schedules under the names that Automatic1111 has for them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from serve_app.api.automatic1111.error_object import NameNotFound
from serve_app.core.image.samplers import ImageFacts, ImageSampling, Sampler, Schedule
from serve_app.core.image.sampling_names import SamplingNames

SEPARATORS = re.compile(r"[\s_\-]+")
AUTOMATIC = "Automatic"
KARRAS = "karras"


@dataclass(frozen=True)
class SamplerName:
    """A sampler of Automatic1111's; `sampler` is ours, None where it has no equal here."""

    name: str
    aliases: tuple[str, ...]
    sampler: Sampler | None = None


SAMPLERS = (
    SamplerName("Euler a", ("k_euler_a", "k_euler_ancestral"), "euler_a"),
    SamplerName("Euler", ("k_euler",), "euler"),
    SamplerName("Heun", ("k_heun",), "heun"),
    SamplerName("LMS", ("k_lms",), "lms"),
    SamplerName("DDIM", ("ddim",), "ddim"),
    SamplerName("DPM2", ("k_dpm_2",), "dpm2"),
    SamplerName("DPM2 a", ("k_dpm_2_a",), "dpm2_a"),
    SamplerName("DPM++ 2S", ("k_dpmpp_2s",), "dpm++_2s"),
    SamplerName("DPM++ 2M", ("k_dpmpp_2m",), "dpm++_2m"),
    SamplerName("DPM++ SDE", ("k_dpmpp_sde",), "dpm++_sde"),
    SamplerName("DPM++ 2M SDE", ("k_dpmpp_2m_sde",), "dpm++_2m_sde"),
    SamplerName("DPM++ 2M SDE Heun", ("k_dpmpp_2m_sde_heun",), "dpm++_2m_sde_heun"),
    SamplerName("DPM++ 3M SDE", ("k_dpmpp_3m_sde",), "dpm++_3m_sde"),
    SamplerName("PLMS", ("plms",), "plms"),
    SamplerName("UniPC", ("unipc",), "unipc"),
    SamplerName("LCM", ("k_lcm",), "lcm"),
    SamplerName("DEIS", ("deis",), "deis"),
    SamplerName("DDPM", ("ddpm",), "ddpm"),
    SamplerName("DPM++ 2S a", ("k_dpmpp_2s_a",)),
    SamplerName("DPM fast", ("k_dpm_fast",)),
    SamplerName("DPM adaptive", ("k_dpm_ad",)),
    SamplerName("Restart", ("restart",)),
    SamplerName("DDIM CFG++", ("ddim_cfgpp",)),
)
WITH_KARRAS = frozenset(
    {"lms", "dpm2", "dpm2_a", "dpm++_2s", "dpm++_2m", "dpm++_sde", "dpm++_2m_sde", "dpm++_3m_sde"}
    | {"euler", "euler_a", "heun", "unipc", "dpm++_2m_sde_heun"}
)
"""Samplers that have a name ending in ` Karras`, too."""


@dataclass(frozen=True)
class ScheduleName:
    """A scheduler of Automatic1111's, as its list has it; `schedule` is ours, None the sampler's
    own.
    """

    name: str
    label: str
    schedule: Schedule | None
    aliases: tuple[str, ...] = ()
    default_rho: float = -1
    need_inner_model: bool = False

    def listed(self) -> dict[str, Any]:
        """The item of the list of schedulers."""
        return {
            "name": self.name,
            "label": self.label,
            "aliases": list(self.aliases) or None,
            "default_rho": self.default_rho,
            "need_inner_model": self.need_inner_model,
        }


SCHEDULES = (
    ScheduleName("automatic", AUTOMATIC, None),
    ScheduleName("uniform", "Uniform", "uniform", need_inner_model=True),
    ScheduleName(KARRAS, "Karras", "karras", default_rho=7),
    ScheduleName("exponential", "Exponential", "exponential"),
    ScheduleName("polyexponential", "Polyexponential", "polyexponential", default_rho=1),
    ScheduleName("sgm_uniform", "SGM Uniform", "sgm_uniform", ("SGMUniform",), -1, True),
    ScheduleName("kl_optimal", "KL Optimal", "kl_optimal"),
    ScheduleName("align_your_steps", "Align Your Steps", "align_your_steps"),
    ScheduleName("simple", "Simple", "simple", need_inner_model=True),
    ScheduleName("normal", "Normal", "normal", need_inner_model=True),
    ScheduleName("ddim", "DDIM", "ddim", ("ddim_uniform",), -1, True),
    ScheduleName("beta", "Beta", "beta", need_inner_model=True),
)
NAMES = SamplingNames(
    samplers={each.sampler: each.name for each in SAMPLERS if each.sampler},
    schedules={each.schedule: each.label for each in SCHEDULES if each.schedule},
    automatic=AUTOMATIC,
)


@dataclass(frozen=True)
class ChosenSampling:
    """What is sampled with, the names that it has here, and what had to be said of the choice."""

    sampler: Sampler | None
    schedule: Schedule | None
    sampler_name: str
    schedule_label: str
    comments: tuple[str, ...] = ()

    def sampling(self, **details: float | None) -> ImageSampling:
        """For the operation."""
        given = {name: value for name, value in details.items() if value is not None}
        return ImageSampling(sampler=self.sampler, schedule=self.schedule, **given)


def folded(text: str) -> str:
    """Without case and with one kind of separator."""
    return SEPARATORS.sub(" ", text.strip().lower())


def _by_name(entries: Sequence[Any], *more: str) -> dict[str, Any]:
    return {
        folded(name): entry
        for entry in reversed(entries)
        for name in (entry.name, *(getattr(entry, each) for each in more), *entry.aliases)
    }


SAMPLER_BY_NAME: dict[str, SamplerName] = _by_name(SAMPLERS)
SCHEDULE_BY_NAME: dict[str, ScheduleName] = _by_name(SCHEDULES, "label")


def chosen(
    sampler: str, scheduler: str | None, facts: ImageFacts, *, prefix: str = ""
) -> ChosenSampling:
    """The sampling that two names mean, of which the sampler's may end in a scheduler's. What the
    model cannot run becomes its first sampler, or the automatic schedule. NameNotFound for what is
    no name at all; `prefix` stands before the fields that it names.
    """
    found, from_name = _sampler(sampler, f"{prefix}sampler_name")
    schedule = _schedule(scheduler, f"{prefix}scheduler")
    if schedule.schedule is None and from_name is not None:
        schedule = from_name
    comments = []
    if found.sampler not in facts.samplers:
        usual = name_of(facts.samplers[0])
        comments.append(f"Sampler {found.name!r} is not for this model; {usual.name!r} was used")
        found = usual
    if schedule.schedule is not None and schedule.schedule not in facts.schedules:
        comments.append(
            f"Scheduler {schedule.label!r} is not for this model; {AUTOMATIC!r} was used"
        )
        schedule = SCHEDULES[0]
    return ChosenSampling(
        found.sampler, schedule.schedule, found.name, schedule.label, tuple(comments)
    )


def _sampler(text: str, param: str) -> tuple[SamplerName, ScheduleName | None]:
    wanted = folded(text)
    if found := SAMPLER_BY_NAME.get(wanted):
        return found, None
    if wanted.endswith(" ka") and (found := SAMPLER_BY_NAME.get(wanted.removesuffix(" ka"))):
        return found, SCHEDULE_BY_NAME[KARRAS]
    for name, schedule in SCHEDULE_BY_NAME.items():
        found = SAMPLER_BY_NAME.get(wanted.removesuffix(f" {name}"))
        if found is not None and wanted.endswith(f" {name}"):
            return found, schedule
    raise NameNotFound("Sampler not found", [each.name for each in SAMPLERS], param=param)


def _schedule(text: str | None, param: str) -> ScheduleName:
    if text is None or not text.strip():
        return SCHEDULES[0]
    found = SCHEDULE_BY_NAME.get(folded(text))
    if found is None:
        raise NameNotFound("Scheduler not found", [each.name for each in SCHEDULES], param=param)
    return found


def name_of(sampler: Sampler) -> SamplerName:
    """What one of ours is called here."""
    return next(each for each in SAMPLERS if each.sampler == sampler)


def listed_samplers(facts: ImageFacts) -> Iterator[dict[str, Any]]:
    """The items of the list of samplers: what the model can run, by every name."""
    for each in SAMPLERS:
        if each.sampler not in facts.samplers:
            continue
        yield {"name": each.name, "aliases": list(each.aliases), "options": {}}
        if each.sampler in WITH_KARRAS and KARRAS in facts.schedules:
            yield {
                "name": f"{each.name} Karras",
                "aliases": [f"{alias}_ka" for alias in each.aliases],
                "options": {"scheduler": KARRAS},
            }
