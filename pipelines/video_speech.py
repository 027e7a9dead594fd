"""The words of a video: lines that were spoken into it, dubbed, written down."""

from collections.abc import Sequence

from pipelines.nested import nested
from pipelines.video_dub import VideoDub
from pipelines.video_subtitles import VideoSubtitles
from serve_app.core.audio.transcription import Transcript, TranscriptSegment
from serve_app.core.media import Blob, BlobStore
from serve_app.core.message import Message
from serve_app.core.notices import Notice
from serve_app.core.stages import Stages, result_of
from serve_app.core.video.dubbing import DubbedVideo, Dubbing, DubVideo
from serve_app.core.video.finishing import PlacedLine
from serve_app.core.video.subtitling import Subtitles, SubtitleVideo, Subtitling


class SpokenLine(Message):
    """A line as it is heard, from one second of the video to another."""

    line: PlacedLine
    audio: Blob
    start_s: float
    end_s: float
    warnings: tuple[Notice, ...] = ()


class VideoWords:
    """The pipelines for dubbing and subtitles, each as one stage of another."""

    def __init__(self, stage: Stages, blobs: BlobStore) -> None:
        self._stage = stage
        self._blobs = blobs

    async def dubbed(
        self, name: str, requested: Dubbing, video: Blob, transcript: Transcript | None
    ) -> DubbedVideo:
        """The video in another language; what is known to be said is not listened to."""
        operation = DubVideo(video=video, transcript=transcript, **dict(requested))
        dubber = VideoDub(nested(self._stage, name, operation), self._blobs)
        return await result_of(self._stage, name, dubber.run(operation), DubbedVideo)

    async def subtitles(
        self, name: str, requested: Subtitling, video: Blob, transcript: Transcript | None
    ) -> Subtitles:
        """What is said in the video, as it is read."""
        operation = SubtitleVideo(video=video, transcript=transcript, **dict(requested))
        subtitler = VideoSubtitles(nested(self._stage, name, operation), self._blobs)
        return await result_of(self._stage, name, subtitler.run(operation), Subtitles)


def spoken_transcript(
    lines: Sequence[SpokenLine], duration_s: float
) -> tuple[Transcript | None, tuple[Notice, ...]]:
    """What is heard of the lines in a video that lasts so long, in the order of their times, and
    warnings for what is not. None where nothing is heard.
    """
    warnings = [notice for line in lines for notice in line.warnings]
    spoken = sorted((line for line in lines if line.start_s < duration_s), key=_start_s)
    for line in lines:
        if line.end_s > duration_s:
            lost = "is left out" if line.start_s >= duration_s else "is cut"
            said = (
                f"{lost}; it is spoken from {line.start_s:.1f} to {line.end_s:.1f} s, and the "
                f"video ends at {duration_s:.1f} s"
            )
            warnings.append(Notice(field=line.line.field, text=said))
    if not spoken:
        return None, tuple(warnings)
    segments = tuple(_segment(number, line, duration_s) for number, line in enumerate(spoken))
    language = next((line.line.speech.language for line in spoken), None)
    text = " ".join(segment.text for segment in segments)
    transcript = Transcript(text=text, language=language, duration_s=duration_s, segments=segments)
    return transcript, tuple(warnings)


def translated_transcript(dubbed: DubbedVideo, language: str, duration_s: float) -> Transcript:
    """What is said in a video once it is dubbed."""
    segments = tuple(
        TranscriptSegment(id=number, start=segment.start, end=segment.end, text=segment.text)
        for number, segment in enumerate(dubbed.segments)
    )
    text = " ".join(segment.text for segment in segments)
    return Transcript(text=text, language=language, duration_s=duration_s, segments=segments)


def _start_s(line: SpokenLine) -> float:
    return line.start_s


def _segment(number: int, line: SpokenLine, duration_s: float) -> TranscriptSegment:
    return TranscriptSegment(
        id=number,
        start=line.start_s,
        end=min(line.end_s, duration_s),
        text=" ".join(line.line.speech.text.split()),
        speaker=line.line.speaker,
    )
