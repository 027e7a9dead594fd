"""What is answered for a video's subtitles: their text, what they are made of, or the video."""

from typing import Any, Literal

from serve_app.api.answers import AnswerBody, Finished
from serve_app.api.v1.envelope import result_envelope
from serve_app.api.v1.media_links import media_item
from serve_app.api.v1.media_output import MediaOutput
from serve_app.core.message import Message
from serve_app.core.video.subtitles import srt, vtt
from serve_app.core.video.subtitling import Subtitles

SubtitleForm = Literal["srt", "vtt", "json", "burned_video"]


class SubtitleOutput(MediaOutput):
    """`format` is that of the subtitles, `response_format` that of the video."""

    format: SubtitleForm = "srt"


async def subtitles_body(finished: Finished[Message, Subtitles, SubtitleOutput]) -> AnswerBody:
    """One item."""
    video = finished.result.video
    item = _item(finished.result, finished.output.format)
    item |= {} if video is None else await media_item(finished, video)
    return result_envelope(finished, item)


def _item(subtitles: Subtitles, form: SubtitleForm) -> dict[str, Any]:
    match form:
        case "srt":
            return {"text": srt(subtitles.cues), "format": form}
        case "vtt":
            return {"text": vtt(subtitles.cues), "format": form}
        case "json":
            segments = [
                {"start": segment.start, "end": segment.end, "text": segment.text}
                for segment in subtitles.segments
            ]
            return {"segments": segments, "language": subtitles.language, "format": form}
        case "burned_video":
            return {}
