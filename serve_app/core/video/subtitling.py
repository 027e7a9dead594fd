"""The video-subtitle pipeline's messages."""

from typing import ClassVar

from typing_extensions import override

from serve_app.core.audio.transcription import Transcript, TranscriptSegment
from serve_app.core.media import Blob, MediaResult
from serve_app.core.message import Message, Progress
from serve_app.core.pipelines import PipelineOperation
from serve_app.core.tracks import AudioTrack
from serve_app.core.video.processing import SubtitleStyle

EXTRACT, TRANSCRIBE, TRANSLATE, BURN = "extract-audio", "transcribe", "translate", "burn-subtitles"
WEIGHTS = {EXTRACT: 1.0, TRANSCRIBE: 4.0, TRANSLATE: 3.0, BURN: 3.0}


class Subtitling(Message):
    """How subtitles are made. With `target_language` they are translated, by the
    `translation_model`, or by the transcription model itself where
    `is_translated_while_transcribed`.
    """

    transcription_model: str | None = None
    translation_model: str | None = None
    language: str | None = None
    target_language: str | None = None
    is_translated_while_transcribed: bool = False
    style: SubtitleStyle = "default"


class Subtitles(MediaResult):
    """What is said: `segments` as they were transcribed, `cues` as they are read, both in
    `language`. `video` has them in its image, where that was asked for.
    """

    segments: tuple[TranscriptSegment, ...]
    cues: tuple[TranscriptSegment, ...]
    language: str | None
    video: Blob | None = None


class SubtitleVideo(PipelineOperation[Subtitles], Subtitling):
    """Write down what is said in a video. With `burns` the cues are burned into the image.
    `transcript` is what is said, where that is known; else the video is transcribed.
    """

    name = "video.subtitle"

    pipeline: ClassVar[str] = "video-subtitle"

    video: Blob
    burns: bool = False
    transcript: Transcript | None = None
    audio_track: AudioTrack | None = None

    @property
    def model(self) -> str | None:
        """The model that transcribes."""
        return self.transcription_model

    @property
    def needs_translation(self) -> bool:
        """Whether the words are translated after they were transcribed."""
        is_done = self.is_translated_while_transcribed and self.transcript is None
        return self.target_language is not None and not is_done

    @property
    @override
    def stages(self) -> tuple[str, ...]:
        translated = (TRANSLATE,) if self.needs_translation else ()
        transcribed = () if self.transcript else (EXTRACT, TRANSCRIBE)
        return (*transcribed, *translated, *((BURN,) if self.burns else ()))

    @override
    def weight_of(self, stage: str) -> float:
        return WEIGHTS[stage]


SubtitlesEvent = Progress | Subtitles
