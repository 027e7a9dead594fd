"""What the speaking architectures of transformers have in common, seen from the engine."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

Samples = np.ndarray[Any, np.dtype[np.float32]]
"""Mono, full scale is -1 to 1."""
Stop = Callable[[], bool]


class SpeechStopped(Exception):
    """Nobody listens any more."""


class Interruption:
    """Lets work inside `module` be given up: each of its calls raises SpeechStopped once `stop` is
    true. Whoever sets `stop` works with the module alone.
    """

    def __init__(self, module: Any) -> None:
        self.stop: Stop = lambda: False
        module.register_forward_pre_hook(self._check)

    def _check(self, *_: Any) -> None:
        if self.stop():
            raise SpeechStopped


class Speaker(Protocol):
    """A loaded checkpoint. `language` is the code that it names, if it names one. Checkpoints that
    cannot change their pace have `has_speed` false.
    """

    sample_rate: int
    language: str | None
    presets: tuple[str, ...]
    has_speed: bool

    def read(self, text: str) -> list[Any]:
        """One input per sentence, without those in which there is nothing to say."""
        ...

    def synthesize(
        self, sentence: Any, *, voice: str, speed: float, stop: Stop
    ) -> Iterator[Samples]:
        """The audio of a sentence; less of it once `stop` is true."""
        ...


@runtime_checkable
class CloningSpeaker(Protocol):
    """A Speaker that takes on any voice; it knows the voices of its presets in the same way."""

    def voice_of(self, samples: Samples) -> Any:
        """What is to be known of the voice in a recording of `sample_rate`."""
        ...

    def synthesize_as(self, sentence: Any, *, voice: Any, stop: Stop) -> Iterator[Samples]:
        """As Speaker's `say`, with a voice of `voice_of`."""
        ...


def placed(model: Any, device: torch.device) -> Any:
    """The model where it computes, and not as in training."""
    return model.to(device).eval()


def has_letters(text: str) -> bool:
    """Whether there is anything to say."""
    return any(character.isalnum() for character in text)


def as_samples(waveform: torch.Tensor) -> Samples:
    """Samples on the CPU; what is not a number is silence."""
    samples: Samples = waveform.detach().float().cpu().numpy().reshape(-1)
    return np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)
