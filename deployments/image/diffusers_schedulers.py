"""Diffusion schedulers by name: diffusers' own class names, and the names that samplers go by.

Imported only where diffusers is.
"""

import re
from typing import Any

from serve_app.core.errors import InvalidRequest

KARRAS = {"use_karras_sigmas": True}
NAMES: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", {}),
    "ddpm": ("DDPMScheduler", {}),
    "pndm": ("PNDMScheduler", {}),
    "plms": ("PNDMScheduler", {}),
    "lms": ("LMSDiscreteScheduler", {}),
    "euler": ("EulerDiscreteScheduler", {}),
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "dpm2": ("KDPM2DiscreteScheduler", {}),
    "dpm2_a": ("KDPM2AncestralDiscreteScheduler", {}),
    "dpm++_2m": ("DPMSolverMultistepScheduler", {}),
    "dpm++_2m_karras": ("DPMSolverMultistepScheduler", KARRAS),
    "dpm++_2m_sde": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
    "dpm++_2m_sde_karras": (
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "sde-dpmsolver++"} | KARRAS,
    ),
    "deis": ("DEISMultistepScheduler", {}),
    "unipc": ("UniPCMultistepScheduler", {}),
}
SEPARATORS = re.compile(r"[\s_-]+")


def scheduler_of(own: Any, name: str | None) -> Any:
    """A fresh scheduler from the configuration of the model's own; None is one of its class.

    InvalidRequest lists those that fit the model.
    """
    if name is None:
        return type(own).from_config(own.config)
    fitting = {kind.__name__: kind for kind in _fitting(own)}
    class_name, arguments = NAMES.get(SEPARATORS.sub("_", name.lower()), (name, {}))
    kind = fitting.get(class_name)
    if kind is None:
        short = [short for short, (full, _) in NAMES.items() if full in fitting]
        listed = ", ".join([*short, *sorted(fitting)])
        raise InvalidRequest(
            f"unknown scheduler {name[:50]!r} for this model",
            remedy=f"schedulers: {listed}",
            param="scheduler",
        )
    return kind.from_config(own.config, **arguments)


def _fitting(own: Any) -> list[Any]:
    """Without the stand-ins that diffusers puts in the place of what needs an absent library."""
    kinds = [type(own), *getattr(own, "compatibles", ())]
    return [kind for kind in dict.fromkeys(kinds) if not hasattr(kind, "_backends")]
