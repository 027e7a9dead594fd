"""POST /v1/audio/transcriptions and /v1/audio/translations."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from serve_app.api.context import Context, ContextDep
from serve_app.api.sse import sse_response
from serve_app.api.v1.transcription_body import TranscriptionBody, read_transcription
from serve_app.api.v1.transcription_response import transcription_frames, transcription_response
from serve_app.api.v1.wire import ERRORS, refuse_async
from serve_app.core.errors import UpstreamError
from serve_app.core.media import Blob
from serve_app.core.streams import closing, started
from serve_app.core.transcription import Transcribe, Transcript
from serve_app.transcription_routing import check_translation, request_language, select

router = APIRouter(tags=["audio"], responses=ERRORS)
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
async def transcriptions(request: Request, context: ContextDep) -> Response:
    """Write down what is said, in its language or (`translate`) in English."""
    refuse_async(request.headers, False)
    body, audio = await read_transcription(request, context)
    return await _transcribed(request, context, body, audio, is_translation=body.wants_translation)


@router.post("/v1/audio/translations", response_class=Response, openapi_extra=FORM)
async def translations(request: Request, context: ContextDep) -> Response:
    """Write down in English what is said in any language."""
    refuse_async(request.headers, False)
    body, audio = await read_transcription(request, context)
    return await _transcribed(request, context, body, audio, is_translation=True)


async def _transcribed(
    request: Request,
    context: Context,
    body: TranscriptionBody,
    audio: Blob,
    *,
    is_translation: bool,
) -> Response:
    body.refuse_unavailable()
    found = select(context.models, body.model, body.language)
    if is_translation:
        check_translation(found.model, context.models)
    operation = Transcribe(
        model=found.id,
        audio=audio,
        language=request_language(body.language, found.model),
        task="translate" if is_translation else "transcribe",
        prompt=body.prompt,
        temperature=body.temperature or 0.0,
    )
    events = await started(found.runs.transcribe(operation))
    if body.stream:
        frames = transcription_frames(events)
        return sse_response(frames, path=request.url.path, headers=body.ignored())
    async with closing(events):
        async for event in events:
            if isinstance(event, Transcript):
                return transcription_response(
                    event,
                    response_format=body.response_format or "json",
                    task=operation.task,
                    granularity=body.segment_granularity,
                    headers=body.ignored(),
                )
    raise UpstreamError(f"model {found.id!r} ended without a transcript", provider=found.id)
