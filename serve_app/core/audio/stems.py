"""Stems: a mix of audio taken apart into voices and instruments."""

from collections.abc import AsyncIterator
from typing import Literal, Protocol

from typing_extensions import override

from serve_app.core.engine import Engine
from serve_app.core.media import Blob, MediaFacts, MediaResult
from serve_app.core.message import Message, Progress
from serve_app.core.operation import Operation
from serve_app.core.tracks import AudioTrack

StemMode = Literal["vocals-instrumental", "4-stem", "drums-bass-other"]
StemName = Literal["vocals", "instrumental", "drums", "bass", "other"]
StemRole = Literal["lead", "accompaniment", "rhythm", "bass", "rest"]
Quality = Literal["ml", "best-effort"]

STEM_NAMES: dict[StemMode, tuple[StemName, ...]] = {
    "vocals-instrumental": ("vocals", "instrumental"),
    "4-stem": ("vocals", "drums", "bass", "other"),
    "drums-bass-other": ("drums", "bass", "other"),
}
STEM_ROLES: dict[StemName, StemRole] = {
    "vocals": "lead",
    "instrumental": "accompaniment",
    "drums": "rhythm",
    "bass": "bass",
    "other": "rest",
}


class Stem(Message):
    """One part of the mix, as WAV of the mix's sample rate and exact length."""

    name: StemName
    role: StemRole
    audio: Blob


class Stems(MediaResult):
    """The parts in the order of `STEM_NAMES`, and what made them. `dependency` is the library that
    the engine stands on; `limitations` say in sentences what cannot be expected of it.
    """

    stem_mode: StemMode
    stems: tuple[Stem, ...]
    engine: str
    model: str
    quality: Quality
    dependency: str
    duration_s: float
    limitations: tuple[str, ...] = ()

    @override
    def facts(self) -> dict[str, MediaFacts]:
        facts = MediaFacts(duration_s=self.duration_s)
        return {stem.audio.sha256: facts for stem in self.stems}


class SeparateStems(Operation[Stems]):
    """Take `audio` apart. Without `allows_fallback` only a trained engine may do it."""

    name, task, verb = "audio.stems", "stems", "separate_stems"

    model: str
    audio: Blob
    stem_mode: StemMode = "vocals-instrumental"
    allows_fallback: bool = False
    audio_track: AudioTrack | None = None


StemEvent = Progress | Stems


class StemSeparator(Engine, Protocol):
    """Takes mixes apart."""

    def separate_stems(self, request: SeparateStems) -> AsyncIterator[StemEvent]:
        """Progress in seconds of audio, last the result. BackendUnavailable when the engine is a
        fallback and the request does not allow one.
        """
        ...
