"""POST /v1/audio/transcriptions and /v1/audio/translations."""

from fastapi import APIRouter
from fastapi.responses import Response

from serve_app.api.answers import Answer
from serve_app.api.call import Call, CallDep
from serve_app.api.context import Context
from serve_app.api.observation import observed
from serve_app.api.operation_answers import job_answer, streamed
from serve_app.api.sse import sse_response
from serve_app.api.v1.audio.transcription_answer import TranscriptionOutput, transcription_body
from serve_app.api.v1.audio.transcription_body import TranscriptionBody, read_transcription
from serve_app.api.v1.audio.transcription_response import transcription_frames
from serve_app.api.v1.wire import ERRORS
from serve_app.catalog.transcription_routing import check_translation, request_language, select
from serve_app.core.audio.transcription import SpeakerLabels, Transcribe
from serve_app.core.errors import BackendUnavailable, UnsupportedCapability
from serve_app.core.media import Blob

router = APIRouter(tags=["audio"], responses=ERRORS)
NOT_BY_ALL = frozenset({"prompt", "temperature"})
"""Fields that some engines have no use for."""
FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}}
                    | TranscriptionBody.model_json_schema()["properties"],
                }
            }
        },
    }
}


@router.post("/v1/audio/transcriptions", response_class=Response, openapi_extra=FORM)
async def transcriptions(call: CallDep) -> Response:
    """Transcribe speech, in its language or (`translate`) in English."""
    context = call.context
    body, audio = await read_transcription(call.request, context)
    operation = to_transcribe(
        context, body, audio, is_translation=body.translation_field is not None
    )
    return await _answered(call, body, operation)


@router.post("/v1/audio/translations", response_class=Response, openapi_extra=FORM)
async def translations(call: CallDep) -> Response:
    """Transcribe speech in any language and translate it into English."""
    context = call.context
    body, audio = await read_transcription(call.request, context)
    body.leave(body.original_language_fields())
    operation = to_transcribe(context, body, audio, is_translation=True)
    return await _answered(call, body, operation)


def to_transcribe(
    context: Context, body: TranscriptionBody, audio: Blob, *, is_translation: bool
) -> Transcribe:
    """The operation, its model chosen."""
    body.check_target()
    found = select(context.catalog, body.model, body.language, translates=is_translation)
    if is_translation:
        check_translation(found.model, context.catalog, param=body.translation_field or "model")
    body.leave(NOT_BY_ALL - found.family.options.honours)
    return Transcribe(
        model=found.id,
        audio=audio,
        language=request_language(body.language, found.model),
        mode="translate" if is_translation else "transcribe",
        prompt=body.prompt,
        temperature=body.temperature or 0.0,
        audio_track=body.audio_track,
        speakers=_labels(context, body) if body.wants_speakers else None,
    )


def _labels(context: Context, body: TranscriptionBody) -> SpeakerLabels:
    """The model that identifies speakers. UnsupportedCapability when there is none."""
    try:
        model = context.catalog.find("diarization", None)
    except BackendUnavailable:
        name = "diarize" if body.diarize else "response_format"
        raise UnsupportedCapability("no diarization model is configured", param=name) from None
    return SpeakerLabels(model=model.id, num_speakers=body.num_speakers)


async def _answered(call: Call, body: TranscriptionBody, operation: Transcribe) -> Response:
    """Segments as they are transcribed, or the whole transcript of a job."""
    catalog = call.context.catalog
    observed(call.request).extra |= {
        "language": operation.language,
        "response_format": body.response_format or "json",
        "segment_granularity": body.segment_granularity,
        "provider": catalog.find("transcription", operation.model).family.options.engine,
    }
    if body.stream:
        events = catalog.run(operation)
        opened, headers = await streamed(call, body, operation, events)
        model = catalog.find("transcription", operation.model).model
        late = None if model.supports_streaming else model.id
        frames = transcription_frames(opened, late_model=late, tell=call.telling(operation))
        return sse_response(frames, call.request, headers=headers)
    output = TranscriptionOutput(
        response_format=body.response_format, segment_granularity=body.segment_granularity
    )
    return await job_answer(call, body, operation, output)


ANSWERS = (Answer(Transcribe, TranscriptionOutput, transcription_body, reads_operation=True),)
