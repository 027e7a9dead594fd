"""POST /lite/transcripts."""

from typing import Annotated, Literal

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.answers import Answer, AnswerBody, AnswerOutput, Finished, PlainText
from serve_app.api.call import CallDep, dialect_errors
from serve_app.api.lite.calls import LiteTaskBody, answered
from serve_app.api.wire_types import Media, Text
from serve_app.catalog.transcription_routing import request_language, select
from serve_app.core.audio.transcription import Transcribe, Transcript

router = APIRouter(tags=["audio"])
Form = Literal["text", "lines"]


class LiteTranscriptBody(LiteTaskBody):
    """A recording in any form that media may have."""

    recording: Media
    spoken: Annotated[Text, Field(max_length=100)] | None = None
    as_form: Form = "text"


class LiteTranscriptOutput(AnswerOutput):
    """The part of the request that sets the format of the response; stored with the job."""

    form: Form = "text"


@router.post("/lite/transcripts")
async def transcripts(body: LiteTranscriptBody, call: CallDep) -> Response:
    """Transcribe a recording."""
    # Errors about the media name the field that the client sent.
    audio = await call.context.intake.take(body.recording, param="recording", kind="audio")
    with dialect_errors(call.dialect, Transcribe.name):
        found = select(call.context.catalog, body.engine, body.spoken, translates=False)
        language = request_language(body.spoken, found.model)
    operation = Transcribe(model=found.id, audio=audio, language=language)
    return await answered(call, body, operation, LiteTranscriptOutput(form=body.as_form))


async def transcript_body(
    finished: Finished[Transcribe, Transcript, LiteTranscriptOutput],
) -> AnswerBody:
    """Plain text, or lines with times in seconds."""
    transcript = finished.result
    if finished.output.form == "text":
        return PlainText(transcript.text)
    return {
        "lines": [
            {"from": line.start, "to": line.end, "says": line.text} for line in transcript.segments
        ]
    }


ANSWERS = (Answer(Transcribe, LiteTranscriptOutput, transcript_body),)
