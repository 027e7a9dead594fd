"""Cutting, joining and converting media without a model."""

from collections.abc import AsyncIterator
from typing import Literal, Protocol

from pydantic import Field

from serve_app.core.audio.audio_processing import ProcessAudio, ProcessedAudio
from serve_app.core.audio.transcription import TranscriptSegment
from serve_app.core.engine import Engine
from serve_app.core.image.image_processing import ProcessedImage, ProcessImage
from serve_app.core.media import Blob
from serve_app.core.message import Message, Progress
from serve_app.core.notices import Notice
from serve_app.core.operation import Operation
from serve_app.core.tracks import AudioTrack
from serve_app.core.video.assembly import AssembledVideo, AssembleVideo
from serve_app.core.video.video_processing import ProcessedVideo, ProcessVideo

SubtitleStyle = Literal["default", "karaoke", "minimal"]


class ExtractedAudio(Message):
    """Second 0 of the audio is where a player begins the video; the warnings say which of several
    tracks it is.
    """

    audio: Blob
    warnings: tuple[Notice, ...] = ()


class GainPoint(Message):
    """How loud an audio file is at a second of the video; a factor, 1 leaves it as it is."""

    at_s: float
    gain: float = Field(ge=0)


class PlacedAudio(Message):
    """An audio file and the second at which it starts. With `levels`, in the order of their
    seconds, it is made as loud as they say, evenly from one to the next.
    """

    audio: Blob
    start_s: float
    levels: tuple[GainPoint, ...] = ()


class VideoWithAudio(Message):
    """An MP4 with H.264 in yuv420p, as long as the video was; the warnings say what is lost."""

    video: Blob
    warnings: tuple[Notice, ...] = ()


class SubtitledVideo(Message):
    """An MP4 with H.264 in yuv420p of the video's times, with one audio track."""

    video: Blob
    warnings: tuple[Notice, ...] = ()


class BurnSubtitles(Operation[SubtitledVideo]):
    """Burn `cues` into the image of a video; karaoke colours words by their times."""

    name, task, verb = "media.burn-subtitles", "media", "burn_subtitles"

    video: Blob
    cues: tuple[TranscriptSegment, ...]
    style: SubtitleStyle = "default"
    audio_track: AudioTrack | None = None


class ReplaceAudio(Operation[VideoWithAudio]):
    """Put `audio files`, mixed at their start times, in place of the video's own audio. An image of
    H.264 in yuv420p is copied.
    """

    name, task, verb = "media.replace-audio", "media", "replace_audio"
    answers_once = True

    video: Blob
    recordings: tuple[PlacedAudio, ...]


class ExtractAudio(Operation[ExtractedAudio]):
    """Take the audio out of a video, or of an audio file, as 16 kHz mono WAV; of it what is heard
    from `start_s` to `end_s`, which may lie beyond its end.
    """

    name, task, verb = "media.extract-audio", "media", "extract_audio"
    answers_once = True

    video: Blob
    start_s: float = Field(default=0.0, ge=0)
    end_s: float | None = Field(default=None, gt=0)
    audio_track: AudioTrack | None = None


class MediaProcessor(Engine, Protocol):
    """Media operations that need no model. Raise InvalidRequest for what cannot be decoded."""

    async def extract_audio(self, request: ExtractAudio) -> ExtractedAudio:
        """InvalidRequest with `param` `video` when there is no audio track."""
        ...

    async def replace_audio(self, request: ReplaceAudio) -> VideoWithAudio:
        """The video with the new audio."""
        ...

    async def assemble_video(self, request: AssembleVideo) -> AssembledVideo:
        """The scenes as one video."""
        ...

    def burn_subtitles(self, request: BurnSubtitles) -> AsyncIterator[Progress | SubtitledVideo]:
        """Progress in frames, then the video."""
        ...

    def process_image(self, request: ProcessImage) -> AsyncIterator[Progress | ProcessedImage]:
        """Progress in steps, then the image. InvalidRequest and PayloadTooLarge with `param`
        `image`, or `steps[i]` and what is in it.
        """
        ...

    def process_audio(self, request: ProcessAudio) -> AsyncIterator[Progress | ProcessedAudio]:
        """Progress in seconds, then the audio."""
        ...

    def process_video(self, request: ProcessVideo) -> AsyncIterator[Progress | ProcessedVideo]:
        """Progress in frames, then the video. Raises as `process_image`, with `param` `video`."""
        ...
