"""POST /v1/audio/clone."""

from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.call import CallDep
from serve_app.api.context import Context
from serve_app.api.job_body import JobBody
from serve_app.api.operation_answers import job_answer
from serve_app.api.v1.audio.speech_answer import SpeechOutput
from serve_app.api.v1.audio.spoken_language import spoken_language
from serve_app.api.v1.audio.voice_references import (
    VoiceReference,
    recorded_voice,
    reference_named,
    saved_voice,
)
from serve_app.api.v1.configured import validating_media_first
from serve_app.api.v1.media_output import media_form
from serve_app.api.v1.wire import ERRORS
from serve_app.api.wire_types import Integer, Media, ModelName, Number, Text
from serve_app.catalog.clone_selection import select_clone_engine
from serve_app.core.audio.speech import CloneSpeech
from serve_app.core.error_fields import renamed_error_fields
from serve_app.core.errors import InvalidRequest

router = APIRouter(tags=["audio"], responses=ERRORS)
RUNS = (CloneSpeech,)
TEXT_CHARACTERS = 16_384


class CloneBody(JobBody):
    """A text, and the voice that speaks it."""

    text: Text = Field(min_length=1, max_length=TEXT_CHARACTERS)
    voice_name: Text | None = None
    ref_audio: Media | None = None
    ref_text: Text | None = Field(default=None, max_length=TEXT_CHARACTERS)
    speed: Annotated[Number, Field(strict=True, ge=0.25, le=4)] | None = None
    seed: Integer | None = None
    engine: ModelName | None = None
    language: Text | None = None
    ref_language: Text | None = None
    watermark: Any = None
    response_format: Text | None = Field(default=None, max_length=50)
    user: Text | None = None

    def without_effect(self) -> list[str]:
        """A recording goes before a saved voice. No engine needs the reference's words, or puts a
        watermark into the audio.
        """
        fields = ("user", "ref_text", "ref_language")
        names = [name for name in fields if getattr(self, name) is not None]
        if self.watermark not in (None, False):
            names.append("watermark")
        is_doubled = self.ref_audio is not None and self.voice_name is not None
        return [*names, "voice_name"] if is_doubled else names

    async def reference(self, context: Context) -> VoiceReference:
        """Whose voice is meant."""
        if self.ref_audio is not None:
            return await recorded_voice(
                context, self.ref_audio, text=self.ref_text, param="ref_audio"
            )
        if self.voice_name is not None:
            return await saved_voice(context, self.voice_name, param="voice_name")
        raise InvalidRequest(
            "send a recording of the voice, or the 'voice_name' of a saved voice",
            param="ref_audio",
        )


@router.post("/v1/audio/clone")
async def clone(body: CloneBody, call: CallDep) -> Response:
    """Speak a text in the voice of a recording."""
    context = call.context
    form = media_form(body.response_format, "audio")
    if not body.text.strip():
        raise InvalidRequest("the text must not be blank", param="text")
    language = spoken_language(body.language)
    spoken_language(body.ref_language, param="ref_language")
    async with validating_media_first(context, ("ref_audio", body.ref_audio, "audio")):
        found = select_clone_engine(context.catalog, body.engine)
    reference = await body.reference(context)
    operation = CloneSpeech(
        model=found.id,
        text=body.text,
        reference=reference.audio,
        reference_text=body.ref_text or reference.text,
        language=language,
        speed=1.0 if body.speed is None else body.speed,
        seed=body.seed,
    )
    output = SpeechOutput.model_validate({"response_format": form})
    # To the operation's errors the text is `input`, as the speech routes call it.
    with renamed_error_fields({"input": "text"}):
        async with reference_named(reference, param="ref_audio"):
            return await job_answer(call, body, operation, output)
