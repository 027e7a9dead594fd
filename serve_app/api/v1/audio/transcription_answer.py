"""What is answered for a transcript: JSON, or one of the forms that are text."""

import asyncio
from typing import Literal

from serve_app.api.answers import AnswerBody, AnswerOutput, Finished, PlainText
from serve_app.api.v1.audio.transcription_response import transcript_body
from serve_app.core.audio.transcription import Transcribe, Transcript
from serve_app.core.video.subtitles import Granularity


class TranscriptionOutput(AnswerOutput):
    """The form asked for, and how its segments are cut."""

    response_format: (
        Literal["json", "text", "srt", "vtt", "verbose_json", "diarized_json"] | None
    ) = None
    segment_granularity: Granularity | None = None


async def transcription_body(
    finished: Finished[Transcribe, Transcript, TranscriptionOutput],
) -> AnswerBody:
    """The transcript, in the form asked for."""
    form = finished.output.response_format or "json"
    body = await asyncio.to_thread(
        transcript_body,
        finished.result,
        response_format=form,
        task=finished.operation.mode,
        granularity=finished.output.segment_granularity,
        tell=finished.tell,
    )
    if isinstance(body, str):
        return PlainText(body, mime="text/vtt" if form == "vtt" else "text/plain")
    return body
