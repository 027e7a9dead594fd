"""How much noise is left at each step, by formula: sigmas from the largest to the smallest."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from serve_app.core.image.samplers import Schedule

Ramp = Callable[[float, float, int], Any]
"""The sigmas of so many steps between the smallest and the largest, both included."""

RHO = 7.0
STEADY = (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029)
STEADY_LARGE = (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029)
"""https://research.nvidia.com/labs/toronto-ai/AlignYourSteps, for SD 1.5 and SDXL."""


def karras(lowest: float, highest: float, steps: int) -> Any:
    """Karras et al. (2022), equation 5."""
    low, high = lowest ** (1 / RHO), highest ** (1 / RHO)
    return (high + np.linspace(0, 1, steps) * (low - high)) ** RHO


def exponential(lowest: float, highest: float, steps: int) -> Any:
    """Even steps of the logarithm."""
    return np.exp(np.linspace(math.log(highest), math.log(lowest), steps))


def kl_optimal(lowest: float, highest: float, steps: int) -> Any:
    """Sabour et al. (2024), "Align Your Steps", equation 11: even steps of the arc tangent."""
    return np.tan(np.linspace(math.atan(highest), math.atan(lowest), steps))


def _aligned(known: tuple[float, ...]) -> Ramp:
    """The published ones, whatever the model's are; for other numbers of steps, those between them
    along the logarithm.
    """

    def aligned(_lowest: float, _highest: float, steps: int) -> Any:
        places = np.linspace(0, 1, len(known))
        return np.exp(np.interp(np.linspace(0, 1, steps), places, np.log(known)))

    return aligned


RAMPS: dict[Schedule, Ramp] = {
    "karras": karras,
    "exponential": exponential,
    # The polynomial's power is 1 by default, which makes it the same.
    "polyexponential": exponential,
    "kl_optimal": kl_optimal,
    "align_your_steps": _aligned(STEADY),
}


def ramp_of(schedule: Schedule, *, is_large: bool) -> Ramp | None:
    """None for those that are no formula of sigmas. `is_large` for models like SDXL."""
    if schedule == "align_your_steps" and is_large:
        return _aligned(STEADY_LARGE)
    return RAMPS.get(schedule)


def set_ramped_timesteps(
    scheduler: Any,
    set_timesteps: Callable[..., None],
    ramp: Ramp,
    num_inference_steps: int,
    device: Any = None,
) -> None:
    """For schedulers that know evenly spaced timesteps only, as EulerAncestralDiscrete."""
    set_timesteps(num_inference_steps, device=device)
    alphas = scheduler.alphas_cumprod.double().cpu().numpy()
    trained = np.sqrt((1 - alphas) / alphas)
    sigmas = ramp(float(trained[0]), float(trained[-1]), num_inference_steps)
    timesteps = np.interp(np.log(sigmas), np.log(trained), np.arange(len(trained)))
    scheduler.sigmas = torch.tensor(np.append(sigmas, 0.0), dtype=torch.float32)
    scheduler.timesteps = torch.tensor(timesteps, dtype=torch.float32, device=device)
    scheduler.sigmas = torch.tensor(np.append(sigmas, 0.0), dtype=torch.float32)
    scheduler.timesteps = torch.tensor(timesteps, dtype=torch.float32, device=device)
