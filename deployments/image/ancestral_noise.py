"""Less of the noise that an ancestral sampler adds after each step."""

from collections.abc import Callable
from typing import Any

import torch


def scale_ancestral_noise(scheduler: Any, eta: float) -> None:
    """Have a EulerAncestralDiscreteScheduler add `eta` times the noise, and take out as much less:
    with 0 it is Euler's method.
    """
    step: Callable[..., Any] = scheduler.step

    def scaled(
        model_output: torch.Tensor,
        timestep: Any,
        sample: torch.Tensor,
        generator: Any = None,
        return_dict: bool = True,
    ) -> Any:
        made = step(model_output, timestep, sample, generator=generator, return_dict=True)
        # The step is over; its levels of noise are the two before the index.
        start, end = (float(scheduler.sigmas[scheduler.step_index - k]) for k in (1, 0))
        up, down = _levels(start, end, 1.0)
        if up > 0:
            slope = (sample - made.pred_original_sample) / start
            noise = (made.prev_sample - sample - slope * (down - start)) / up
            up, down = _levels(start, end, eta)
            made.prev_sample = (sample + slope * (down - start) + noise * up).to(sample.dtype)
        return made if return_dict else (made.prev_sample,)

    scheduler.step = scaled


def _levels(start: float, end: float, eta: float) -> tuple[float, float]:
    """How much noise is added, and down to how much is taken out before."""
    up = min(end, eta * (end**2 * (start**2 - end**2) / start**2) ** 0.5)
    return float(up), float((end**2 - up**2) ** 0.5)
