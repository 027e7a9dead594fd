"""POST /v1/audio/process."""

from typing import ClassVar, Literal

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.answers import Answer, AnswerBody, Finished
from serve_app.api.call import CallDep
from serve_app.api.operation_answers import job_answer
from serve_app.api.v1.configured import validating_media_first
from serve_app.api.v1.envelope import result_envelope
from serve_app.api.v1.media_links import media_item
from serve_app.api.v1.media_output import MediaOutput, media_output
from serve_app.api.v1.process_body import ProcessBody, WireStep, described, read_process_body
from serve_app.api.v1.wire import ERRORS
from serve_app.api.wire_types import Media, Track
from serve_app.core.audio.audio_processing import (
    AudioFileFormat,
    ConvertAudioStep,
    ProcessAudio,
    ProcessedAudio,
)
from serve_app.core.bounds import MAX_STEPS
from serve_app.core.media import MediaKind
from serve_app.core.message import Message

router = APIRouter(tags=["audio"], responses=ERRORS)


class ConvertAudioBody(WireStep):
    """Write the result in this format; of several such steps the last one counts."""

    type: Literal["convert"]
    format: AudioFileFormat

    def to_step(self) -> ConvertAudioStep:
        """The core's."""
        return ConvertAudioStep(format=self.format)


class AudioProcessBody(ProcessBody):
    """Audio, or a video that has some, and what is done to it."""

    medium: ClassVar[MediaKind] = "audio"

    audio: Media
    audio_track: Track | None = None
    steps: list[ConvertAudioBody] = Field(min_length=1, max_length=MAX_STEPS)


@router.post("/v1/audio/process", openapi_extra=described(AudioProcessBody))
async def process_audio(call: CallDep) -> Response:
    """Convert audio into another format."""
    context = call.context
    body = await read_process_body(call.request, context, AudioProcessBody)
    output = media_output(body.response_format, "audio")
    async with validating_media_first(context, ("audio", body.audio, "audio")):
        context.catalog.media_runner()
    operation = ProcessAudio(
        audio=await context.intake.take(body.audio, param="audio", kind="audio"),
        steps=tuple(step.to_step() for step in body.steps),
        audio_track=body.audio_track,
    )
    return await job_answer(call, body, operation, output)


async def processed_audio_body(
    finished: Finished[Message, ProcessedAudio, MediaOutput],
) -> AnswerBody:
    """The audio, its length in seconds and its format."""
    made = finished.result
    item = await media_item(finished, made.audio)
    return result_envelope(finished, item | {"format": made.format, "duration": made.duration_s})


ANSWERS = (Answer(ProcessAudio, MediaOutput, processed_audio_body),)
