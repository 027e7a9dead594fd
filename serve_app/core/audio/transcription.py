"""Speech in: audio to timed text."""

from collections.abc import AsyncIterator
from typing import Literal, Protocol

from pydantic import Field

from serve_app.core.engine import Engine
from serve_app.core.media import Blob
from serve_app.core.message import Message, Progress
from serve_app.core.notices import Notice
from serve_app.core.operation import Operation
from serve_app.core.tracks import AudioTrack


class SpeakerLabels(Message):
    """Name who speaks, by the diarization model `model`; `num_speakers` None estimates how many."""

    model: str
    num_speakers: int | None = Field(default=None, ge=1)


class Word(Message):
    """A spoken word; times in seconds from the start of the audio."""

    word: str
    start: float
    end: float


class TranscriptSegment(Message):
    """A stretch of speech in time order. Text has no leading or trailing white space."""

    id: int
    start: float
    end: float
    text: str
    words: tuple[Word, ...] = ()
    speaker: str | None = None
    avg_logprob: float | None = None
    no_speech_prob: float | None = None
    compression_ratio: float | None = None
    temperature: float | None = None


class Transcript(Message):
    """The last item: `text` is the segments' texts joined by one space; silence gives none."""

    text: str
    language: str | None
    duration_s: float
    segments: tuple[TranscriptSegment, ...]
    warnings: tuple[Notice, ...] = ()


TranscriptionEvent = Progress | TranscriptSegment | Transcript


class Transcribe(Operation[Transcript, TranscriptionEvent]):
    """Write down what is said in `audio` (any readable container, also a video).

    `language` is a code, None detects. `mode` translate gives English text. `temperature` 0 is
    greedy. `prompt` is preceding context. `speakers` None names nobody. `audio_track` None is what
    a player would play.
    """

    name, task, verb = "audio.transcription", "transcription", "transcribe"

    model: str
    audio: Blob
    language: str | None = None
    mode: Literal["transcribe", "translate"] = "transcribe"
    prompt: str | None = None
    temperature: float = 0.0
    speakers: SpeakerLabels | None = None
    audio_track: AudioTrack | None = None


class TranscriptionModel(Engine, Protocol):
    """Listens."""

    def transcribe(self, request: Transcribe) -> AsyncIterator[TranscriptionEvent]:
        """Segments as they come, then the Transcript. InvalidRequest with `param` `file` for
        bytes that hold no audio that can be decoded.
        """
        ...
