"""Audio made of words: music, noises and the audio of places, as long as is asked for."""

from collections.abc import AsyncIterator
from typing import Literal, Protocol

from pydantic import Field
from typing_extensions import override

from serve_app.core.engine import Engine
from serve_app.core.media import Blob, MediaFacts, MediaResult
from serve_app.core.message import Progress
from serve_app.core.operation import Operation

AudioKind = Literal["music", "sfx", "ambient"]
LONGEST_AUDIO_S = 7200.0
"""No video is longer."""


class GeneratedAudio(MediaResult):
    """WAV, `duration_s` long to the sample; `sample_rate` in Hz."""

    audio: Blob
    duration_s: float
    sample_rate: int
    channels: int
    seed: int

    @override
    def facts(self) -> dict[str, MediaFacts]:
        return {self.audio.sha256: MediaFacts(seed=self.seed, duration_s=self.duration_s)}


class GenerateAudio(Operation[GeneratedAudio]):
    """Make `duration_s` seconds of audio as `prompt` says. Equal seeds make equal recordings."""

    name, task, verb = "audio.generation", "sound", "generate_audio"

    model: str
    prompt: str = Field(min_length=1)
    kind: AudioKind = "music"
    duration_s: float = Field(gt=0, le=LONGEST_AUDIO_S)
    seed: int


AudioEvent = Progress | GeneratedAudio


class AudioGenerator(Engine, Protocol):
    """Makes audio."""

    def generate_audio(self, request: GenerateAudio) -> AsyncIterator[AudioEvent]:
        """Progress in the engine's steps, last the audio. UnsupportedCapability with `param`
        `kind` for a kind that the family's options leave out.
        """
        ...
