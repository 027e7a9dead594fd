"""Speech out: text to encoded sound, as it is spoken."""

from collections.abc import AsyncIterator
from typing import Literal, Protocol

from serve_app.core.message import Message

AudioFormat = Literal["mp3", "wav", "opus", "flac", "aac", "pcm"]

AUDIO_MIME: dict[AudioFormat, str] = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "opus": "audio/ogg",
    "flac": "audio/flac",
    "aac": "audio/aac",
    "pcm": "audio/pcm",
}


class Speak(Message):
    """Speak `text`. `voice` and `language` None mean the model's own; `language` is a lower-case
    code such as `en` or `en-us`. `pcm` is 24 kHz signed 16-bit little-endian mono.
    """

    model: str
    text: str
    voice: str | None = None
    language: str | None = None
    speed: float = 1.0
    format: AudioFormat = "mp3"


class AudioChunk(Message):
    """The next encoded bytes; all chunks joined are one playable file."""

    data: bytes


class Spoken(Message):
    """The last item: what was produced."""

    duration_s: float
    characters: int
    warnings: tuple[str, ...] = ()


SpeechEvent = AudioChunk | Spoken


class Voice(Message):
    """A preset voice and the language it speaks."""

    name: str
    language: str | None = None


class SpeechModel(Protocol):
    """Speaks text aloud."""

    def speak(self, request: Speak) -> AsyncIterator[SpeechEvent]:
        """Chunks as they are produced, then Spoken. InvalidRequest with `param` `voice` lists the
        voices when the named one does not exist.
        """
        ...

    async def voices(self, model: str) -> tuple[Voice, ...]:
        """The preset voices, default first."""
        ...
