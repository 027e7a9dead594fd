"""Sound made of words: music, noises and the sound of places, as long as is asked for."""

from collections.abc import AsyncIterator
from typing import Literal, Protocol

from pydantic import Field

from serve_app.core.media import Blob, Facts, MediaResult
from serve_app.core.message import Message, Progress

SoundKind = Literal["music", "sfx", "ambient"]
LONGEST_SOUND_S = 7200.0
"""No film is longer."""


class GenerateSound(Message):
    """Make `duration_s` seconds of sound as `prompt` says. Equal seeds make equal sounds."""

    model: str
    prompt: str = Field(min_length=1)
    kind: SoundKind = "music"
    duration_s: float = Field(gt=0, le=LONGEST_SOUND_S)
    seed: int


class GeneratedSound(MediaResult):
    """WAV, `duration_s` long to the sample; `sample_rate` in Hz."""

    audio: Blob
    duration_s: float
    sample_rate: int
    channels: int
    seed: int

    def facts(self) -> dict[str, Facts]:
        """See MediaResult."""
        return {self.audio.sha256: Facts(seed=self.seed, duration_s=self.duration_s)}


SoundEvent = Progress | GeneratedSound


class SoundModel(Protocol):
    """Makes sound."""

    def generate_sound(self, request: GenerateSound) -> AsyncIterator[SoundEvent]:
        """Progress in the engine's steps, last the sound. UnsupportedCapability with `param`
        `kind` for a kind that the family's options leave out.
        """
        ...
