"""What the speaking architectures of transformers have in common, seen from the engine."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import torch

Samples = np.ndarray[Any, np.dtype[np.float32]]
"""Mono, full scale is -1 to 1."""
Stop = Callable[[], bool]


class Speaker(Protocol):
    """A loaded checkpoint. `language` is the code that it names, if it names one. Checkpoints that
    cannot change their pace have `has_speed` false.
    """

    sample_rate: int
    language: str | None
    presets: tuple[str, ...]
    has_speed: bool

    def read(self, text: str) -> list[torch.Tensor]:
        """One input per sentence, without those in which there is nothing to say."""
        ...

    def say(
        self, sentence: torch.Tensor, *, voice: str, speed: float, stop: Stop
    ) -> Iterator[Samples]:
        """The sound of a sentence; less of it once `stop` is true."""
        ...


def placed(model: Any, device: torch.device) -> Any:
    """The model where it computes, and not as in training."""
    return model.to(device).eval()


def as_samples(waveform: torch.Tensor) -> Samples:
    """Samples on the CPU; what is not a number is silence."""
    samples: Samples = waveform.detach().float().cpu().numpy().reshape(-1)
    return np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
