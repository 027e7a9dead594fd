"""The video-dub pipeline's messages."""

from collections.abc import AsyncIterator
from typing import ClassVar, Protocol

from serve_app.core.media import Blob, MediaResult
from serve_app.core.message import Message, Progress
from serve_app.core.pipelines import PipelineOperation

DUB_STAGES = ("extract-audio", "transcribe", "translate", "speak", "replace-audio")


class DubVideo(PipelineOperation):
    """Speak a video's words in `target_language`. Model fields are canonical ids."""

    pipeline: ClassVar[str] = "video-dub"

    video: Blob
    target_language: str
    source_language: str | None = None
    transcription_model: str
    chat_model: str
    speech_model: str
    voice: str | None = None

    @property
    def stages(self) -> tuple[str, ...]:
        """See PipelineOperation."""
        return DUB_STAGES


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


DubVideoEvent = Progress | DubbedVideo


class VideoDubber(Protocol):
    """Dubs."""

    def dub_video(self, request: DubVideo) -> AsyncIterator[DubVideoEvent]:
        """Last the result; where it is, the runner of its stages knows."""
        ...
