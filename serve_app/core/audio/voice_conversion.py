"""Voice conversion: the words of one recording in the voice of another."""

from collections.abc import AsyncIterator
from typing import Protocol

from pydantic import Field
from typing_extensions import override

from serve_app.core.engine import Engine
from serve_app.core.media import Blob, MediaFacts, MediaResult
from serve_app.core.message import Progress
from serve_app.core.operation import Operation


class ConvertedVoice(MediaResult):
    """Mono WAV."""

    audio: Blob
    duration_s: float

    @override
    def facts(self) -> dict[str, MediaFacts]:
        return {self.audio.sha256: MediaFacts(duration_s=self.duration_s)}


class ConvertVoice(Operation[ConvertedVoice]):
    """Say what `source` says as `target` speaks. `is_singing` asks for care with melodies and for
    44.1 kHz instead of 22.05. `pitch_shift` are semitones on top, `length_adjust` is the factor of
    the duration. `diffusion_steps` and `guidance` are for engines that have such; None is theirs.
    """

    name, task, verb = "audio.convert", "conversion", "convert_voice"

    model: str
    source: Blob
    target: Blob
    is_singing: bool = False
    pitch_shift: float = Field(default=0.0, ge=-24, le=24)
    length_adjust: float = Field(default=1.0, ge=0.5, le=2)
    diffusion_steps: int | None = Field(default=None, ge=10, le=100)
    guidance: float | None = Field(default=None, ge=0, le=1)

    @property
    def sample_rate(self) -> int:
        """That of the result, in Hz."""
        return 44_100 if self.is_singing else 22_050


ConversionEvent = Progress | ConvertedVoice


class VoiceConverter(Engine, Protocol):
    """Converts voices."""

    def convert_voice(self, request: ConvertVoice) -> AsyncIterator[ConversionEvent]:
        """Last the result. InvalidRequest with `param` `source` or `target` for what
        holds no audio, and for a target in which nobody speaks. What of the request had no effect
        is in the result's warnings.
        """
        ...
