"""Speech out: text to encoded audio, as it is spoken."""

from collections.abc import AsyncIterator
from typing import Literal, Protocol

from typing_extensions import override

from serve_app.core.engine import Engine
from serve_app.core.media import Blob, MediaFacts, MediaResult
from serve_app.core.message import Message, Progress
from serve_app.core.notices import Notice
from serve_app.core.operation import Operation

AudioFormat = Literal["mp3", "wav", "opus", "flac", "aac", "pcm"]

AUDIO_MIME: dict[AudioFormat, str] = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "opus": "audio/ogg",
    "flac": "audio/flac",
    "aac": "audio/aac",
    "pcm": "audio/pcm",
}


REFERENCE_S = 15.0


OPENAI_VOICES = (
    "alloy",
    "ash",
    "ballad",
    "cedar",
    "coral",
    "echo",
    "fable",
    "marin",
    "nova",
    "onyx",
    "sage",
    "shimmer",
    "verse",
)
"""OpenAI's names, which every model maps to voices of its own."""


class SpokenAudio(MediaResult):
    """A spoken text, stored."""

    audio: Blob
    duration_s: float

    @override
    def facts(self) -> dict[str, MediaFacts]:
        return {self.audio.sha256: MediaFacts(duration_s=self.duration_s)}


class AudioChunk(Message):
    """The next encoded bytes; all chunks joined are one playable file."""

    data: bytes


class SpeechEnd(Message):
    """The last item: what was produced."""

    duration_s: float
    characters: int
    warnings: tuple[Notice, ...] = ()


SpeechEvent = AudioChunk | SpeechEnd
CloneEvent = Progress | AudioChunk | SpeechEnd


class CloneSpeech(Operation[SpokenAudio, CloneEvent]):
    """Speak `text` in the voice that is heard in `reference`, of which at most the first
    `REFERENCE_S` seconds count. `reference_text` is what it says, for engines that need to know.
    The rest is as in Speak; the same `seed` gives the same audio.
    """

    name, task, verb = "audio.clone", "speech", "clone"

    model: str
    text: str
    reference: Blob
    reference_text: str | None = None
    language: str | None = None
    speed: float = 1.0
    seed: int | None = None
    format: AudioFormat = "wav"


class Speak(Operation[SpokenAudio, SpeechEvent]):
    """Speak `text`. `voice` and `language` None mean the model's own; `language` is a lower-case
    code such as `en` or `en-us`. `pcm` is 24 kHz signed 16-bit little-endian mono. The same `seed`
    gives the same audio where the engine `honours` it.
    """

    name, task, verb = "audio.speech", "speech", "speak"

    model: str
    text: str
    voice: str | None = None
    language: str | None = None
    speed: float = 1.0
    seed: int | None = None
    format: AudioFormat = "mp3"


class Voice(Message):
    """A preset voice and the language it speaks."""

    name: str
    language: str | None = None


class Voices(Message):
    """In the order in which they are listed."""

    voices: tuple[Voice, ...]


class ListVoices(Operation[Voices]):
    """The preset voices of a model."""

    name, task, verb = "audio.voices", "speech", "voices"
    answers_once = True

    model: str


class SpeechModel(Engine, Protocol):
    """Speaks text aloud."""

    def speak(self, request: Speak) -> AsyncIterator[SpeechEvent]:
        """Chunks as they are produced, then a SpeechEnd. InvalidRequest with `param` `voice` lists
        the voices when the named one does not exist.
        """
        ...

    def clone(self, request: CloneSpeech) -> AsyncIterator[CloneEvent]:
        """As `speak`, with progress. InvalidRequest with `param` `reference` for a reference in
        which nobody speaks, UnsupportedCapability from a model that has its own voices only.
        """
        ...

    async def voices(self, request: ListVoices) -> Voices:
        """The preset voices, default first."""
        ...
