"""Audio converted, without a model."""

from typing import Literal

from pydantic import Field
from typing_extensions import override

from serve_app.core.bounds import MAX_STEPS
from serve_app.core.media import Blob, MediaFacts, MediaResult
from serve_app.core.message import Message
from serve_app.core.operation import Operation
from serve_app.core.tracks import AudioTrack

AudioFileFormat = Literal["mp3", "wav", "aac", "flac", "ogg", "m4a", "wma"]
AUDIO_FILE_MIME: dict[AudioFileFormat, str] = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "m4a": "audio/mp4",
    "wma": "audio/x-ms-wma",
}


class ConvertAudioStep(Message):
    """Write it in this format; of several such steps the last one counts."""

    type: Literal["convert"] = "convert"
    format: AudioFileFormat


class ProcessedAudio(MediaResult):
    """The audio in the `format` that was asked for. Second 0 is where a player begins the source;
    it is `is_copied` where its packets are the source's own.
    """

    audio: Blob
    format: AudioFileFormat
    duration_s: float
    is_copied: bool = False

    @override
    def facts(self) -> dict[str, MediaFacts]:
        return {self.audio.sha256: MediaFacts(duration_s=self.duration_s)}


class ProcessAudio(Operation[ProcessedAudio]):
    """Convert the audio of an audio file, or of a video, with at most one encode."""

    name, task, verb = "audio.process", "media", "process_audio"

    audio: Blob
    steps: tuple[ConvertAudioStep, ...] = Field(min_length=1, max_length=MAX_STEPS)
    audio_track: AudioTrack | None = None

    @property
    def format(self) -> AudioFileFormat:
        """Of the file that is written."""
        return self.steps[-1].format
