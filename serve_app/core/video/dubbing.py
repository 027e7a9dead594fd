"""The video-dub pipeline's messages."""

from typing import ClassVar

from typing_extensions import override

from serve_app.core.audio.transcription import Transcript
from serve_app.core.media import Blob, MediaResult
from serve_app.core.message import Message, Progress
from serve_app.core.pipelines import PipelineOperation
from serve_app.core.tracks import AudioTrack

EXTRACT, SEPARATE, TRANSCRIBE = "extract-audio", "separate", "transcribe"
TRANSLATE, SPEAK, REPLACE, BURN = "translate", "speak", "replace-audio", "burn-subtitles"
WEIGHTS = {TRANSCRIBE: 4.0, SEPARATE: 4.0, TRANSLATE: 3.0, SPEAK: 3.0, BURN: 3.0}


class Dubbing(Message):
    """How a video is dubbed. Model fields are canonical ids. With `stems_model` the other audio
    files of the video stay under the new voice. With `clones_voice` the new voice is like the one
    that is heard, else it is `voice`, None being the model's own.
    """

    target_language: str
    source_language: str | None = None
    transcription_model: str
    translation_model: str
    speech_model: str
    voice: str | None = None
    clones_voice: bool = False
    stems_model: str | None = None
    burns_subtitles: bool = False


class DubbedSegment(Message):
    """One utterance, in seconds of the video, before and after translation."""

    start: float
    end: float
    source_text: str
    text: str


class DubbedVideo(MediaResult):
    """An MP4 of the source's duration."""

    video: Blob
    segments: tuple[DubbedSegment, ...]
    source_language: str | None


class DubVideo(PipelineOperation[DubbedVideo], Dubbing):
    """Speak a video's words in another language. `transcript` is what is said, where that is
    known; else the video is transcribed.
    """

    name = "pipeline.video-dub"

    pipeline: ClassVar[str] = "video-dub"

    video: Blob
    transcript: Transcript | None = None
    audio_track: AudioTrack | None = None

    @property
    @override
    def stages(self) -> tuple[str, ...]:
        separated = (SEPARATE,) if self.stems_model else ()
        burned = (BURN,) if self.burns_subtitles else ()
        transcribed = () if self.transcript else (TRANSCRIBE,)
        return (EXTRACT, *transcribed, *separated, TRANSLATE, SPEAK, REPLACE, *burned)

    @override
    def weight_of(self, stage: str) -> float:
        return WEIGHTS.get(stage, 1.0)


DubVideoEvent = Progress | DubbedVideo
