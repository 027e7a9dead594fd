"""POST /v1/audio/convert."""

from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.answers import Answer, AnswerBody, Finished
from serve_app.api.call import CallDep
from serve_app.api.context import Context
from serve_app.api.job_body import JobBody
from serve_app.api.operation_answers import job_answer
from serve_app.api.v1.audio.voice_references import (
    VoiceReference,
    recorded_voice,
    reference_named,
    saved_voice,
)
from serve_app.api.v1.configured import SentMedium, validating_media_first
from serve_app.api.v1.envelope import result_envelope
from serve_app.api.v1.media_links import media_item
from serve_app.api.v1.media_output import MediaOutput, media_output
from serve_app.api.v1.wire import ERRORS
from serve_app.api.wire_types import Flag, Integer, Media, MediaText, ModelName, Number, Text
from serve_app.core.audio.voice_conversion import ConvertedVoice, ConvertVoice
from serve_app.core.bounds import MEDIA_CHARACTERS
from serve_app.core.errors import InvalidRequest
from serve_app.core.message import Message

router = APIRouter(tags=["audio"], responses=ERRORS)


class ConvertBody(JobBody):
    """A recording, and the voice to convert it to."""

    source_audio: MediaText = Field(min_length=1, max_length=MEDIA_CHARACTERS)
    target_voice: Media | None = None
    voice_name: Text | None = None
    model: ModelName | None = None
    f0_condition: Flag | None = None
    pitch_shift: Annotated[Number, Field(strict=True, ge=-24, le=24)] | None = None
    diffusion_steps: Annotated[Integer, Field(ge=10, le=100)] | None = None
    length_adjust: Annotated[Number, Field(strict=True, ge=0.5, le=2)] | None = None
    inference_cfg_rate: Annotated[Number, Field(strict=True, ge=0, le=1)] | None = None
    response_format: Text | None = Field(default=None, max_length=50)
    user: Text | None = None

    def without_effect(self) -> list[str]:
        """A recording of the target goes before a saved voice."""
        names = self.sent("user")
        is_doubled = self.target_voice is not None and self.voice_name is not None
        return [*names, "voice_name"] if is_doubled else names

    async def target(self, context: Context) -> VoiceReference:
        """Whose voice is meant."""
        if self.target_voice is not None:
            return await recorded_voice(context, self.target_voice, param="target_voice")
        if self.voice_name is not None:
            return await saved_voice(context, self.voice_name, param="voice_name")
        raise InvalidRequest(
            "send a recording of the voice, or the 'voice_name' of a saved voice",
            param="target_voice",
        )


@router.post("/v1/audio/convert")
async def convert(body: ConvertBody, call: CallDep) -> Response:
    """Give a recording another voice."""
    context = call.context
    output = media_output(body.response_format, "audio")
    source: SentMedium = ("source_audio", body.source_audio, "audio")
    async with validating_media_first(
        context, source, ("target_voice", body.target_voice, "audio")
    ):
        found = context.catalog.find("conversion", body.model)
    target = await body.target(context)
    operation = ConvertVoice(
        model=found.id,
        source=await context.intake.take(body.source_audio, param="source_audio", kind="audio"),
        target=target.audio,
        is_singing=bool(body.f0_condition),
        pitch_shift=body.pitch_shift or 0.0,
        length_adjust=1.0 if body.length_adjust is None else body.length_adjust,
        diffusion_steps=body.diffusion_steps,
        guidance=body.inference_cfg_rate,
    )
    async with reference_named(target, param="target_voice"):
        return await job_answer(call, body, operation, output)


async def converted_body(finished: Finished[Message, ConvertedVoice, MediaOutput]) -> AnswerBody:
    """The recording in its new voice."""
    return result_envelope(finished, await media_item(finished, finished.result.audio))


ANSWERS = (Answer(ConvertVoice, MediaOutput, converted_body),)
