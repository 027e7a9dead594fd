"""What is answered for a dubbed video, in the two shapes of its routes."""

from typing import Any

from serve_app.api.answers import AnswerBody, Finished
from serve_app.api.v1.envelope import envelope
from serve_app.api.v1.media_links import media_item
from serve_app.api.v1.media_output import MediaOutput
from serve_app.core.message import Message
from serve_app.core.notices import Notice
from serve_app.core.video.dubbing import DubbedVideo


class DubOutput(MediaOutput):
    """`is_item` is the shape without steps; `warnings` were known before the job began."""

    warnings: tuple[Notice, ...] = ()
    is_item: bool = False


async def dub_body(finished: Finished[Message, DubbedVideo, DubOutput]) -> AnswerBody:
    """The video, and what was said in it."""
    dubbed, output = finished.result, finished.output
    item = await media_item(finished, dubbed.video)
    segments = [segment.model_dump() for segment in dubbed.segments]
    more = {"segments": segments} if output.is_item else {}
    warnings = finished.tell((*output.warnings, *dubbed.warnings))
    answer = envelope(finished.created, [item | more], warnings)
    return answer if output.is_item else answer | _steps(dubbed, segments, item)


def _steps(
    dubbed: DubbedVideo, segments: list[dict[str, Any]], item: dict[str, Any]
) -> dict[str, Any]:
    transcribed = {
        "step": "transcribe",
        "language": dubbed.source_language,
        "segments": segments,
    }
    return {"pipeline": "video-dub", "steps": [transcribed, {"step": "dub"} | item]}
