"""POST /v1/audio/speech, /stream and /batch."""

import asyncio
import base64
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import ValidationError
from starlette.background import BackgroundTask

from serve_app.api.context import Context, ContextDep, PrincipalDep
from serve_app.api.errors import error_body, from_validation_errors
from serve_app.api.sse import frame, sse_response
from serve_app.api.v1.job_calls import called, streamed
from serve_app.api.v1.media_answer import envelope, media_item
from serve_app.api.v1.speech_body import ENVELOPES, SpeechBatchBody, SpeechBody
from serve_app.api.v1.speech_cloning import uttered
from serve_app.api.v1.speech_recording import SpeechRecording
from serve_app.api.v1.wire import ERRORS, json_response
from serve_app.core.errors import AppError, InternalError, InvalidRequest
from serve_app.core.speech import AUDIO_MIME, AudioChunk, CloneSpeech, Speak, SpeechEvent, Spoken
from serve_app.core.streams import closing
from serve_app.core.wav import sized

logger = logging.getLogger(__name__)

router = APIRouter(tags=["audio"], responses=ERRORS)
PARALLEL_ITEMS = 4


@router.post("/v1/audio/speech", response_class=Response)
async def speech(
    body: SpeechBody, request: Request, context: ContextDep, principal: PrincipalDep
) -> Response:
    """Speak a text: bytes as they are produced, server-sent events, or an envelope."""
    utterance = await uttered(context, body)
    operation = utterance.operation
    is_streamed = body.stream_format == "sse" or body.response_format not in ENVELOPES
    if not is_streamed or body.is_async(request.headers):
        output = {"response_format": body.response_format}
        async with utterance.explained():
            return await called(body, operation, request, context, principal, output)
    said = utterance.events(context.models)
    async with utterance.explained():
        events, headers = await streamed(body, operation, request, context, principal, said)
    recording = SpeechRecording(context, operation, principal.owner, body.tag)
    heard = recording.listen(events)
    if body.stream_format == "sse":
        response = sse_response(speech_frames(heard), path=request.url.path, headers=headers)
    else:
        response = audio_response(heard, operation, headers)
    response.background = BackgroundTask(recording.keep_quietly)
    return response


@router.post("/v1/audio/speech/stream", response_class=Response)
async def speech_stream(
    body: SpeechBody, request: Request, context: ContextDep, principal: PrincipalDep
) -> Response:
    """Speak a text, always as raw bytes while they are produced."""
    if body.response_format not in (None, "pcm", "wav"):
        raise InvalidRequest(
            "response_format: this route streams 'pcm' or 'wav'", param="response_format"
        )
    utterance = await uttered(context, body, default="pcm")
    operation = utterance.operation
    said = utterance.events(context.models)
    async with utterance.explained():
        events, headers = await streamed(body, operation, request, context, principal, said)
    recording = SpeechRecording(context, operation, principal.owner, body.tag)
    response = audio_response(recording.listen(events), operation, headers)
    response.background = BackgroundTask(recording.keep_quietly)
    return response


@router.post("/v1/audio/speech/batch")
async def speech_batch(
    body: SpeechBatchBody, request: Request, context: ContextDep, principal: PrincipalDep
) -> Response:
    """Speak up to 64 texts; one that fails has an `error` and the others are not affected."""
    body.refuse_job(request.headers)
    if body.response_format not in (None, "url", "b64_wav", "b64_mp3"):
        raise InvalidRequest(
            "response_format: one of url, b64_wav, b64_mp3", param="response_format"
        )
    shared = body.model_dump(exclude_none=True, exclude={"items"})
    turns = asyncio.Semaphore(PARALLEL_ITEMS)

    async def spoken(index: int, item: dict[str, object]) -> dict[str, Any]:
        async with turns:
            fields = shared | item
            return {"index": index} | await _batch_item(
                context, fields, request.url.path, principal.owner
            )

    items = await asyncio.gather(*(spoken(i, item) for i, item in enumerate(body.items)))
    return json_response(envelope(list(items)), body.ignored())


async def _batch_item(
    context: Context, fields: dict[str, Any], path: str, owner: str
) -> dict[str, Any]:
    """One item's envelope or its error: the one place where a failure is part of an answer."""
    try:
        body = SpeechBody.model_validate({"response_format": "b64_wav"} | fields)
        if body.response_format not in ("url", "b64_wav", "b64_mp3"):
            raise InvalidRequest(
                "response_format: one of url, b64_wav, b64_mp3", param="response_format"
            )
        utterance = await uttered(context, body)
        recording = SpeechRecording(context, utterance.operation, owner, body.tag)
        events = recording.listen(utterance.events(context.models))
        async with utterance.explained():
            answer = await spoken_envelope(context, events, body, recording)
    except ValidationError as error:
        return error_body(from_validation_errors(error.errors(), fields), path)
    except AppError as error:
        return error_body(error, path)
    except Exception:
        logger.exception("an item of a batch on %s failed", path)
        return error_body(InternalError("the server failed on this item; its log says why"), path)
    item: dict[str, Any] = answer["data"][0]
    return item


def audio_response(
    events: AsyncIterator[SpeechEvent], operation: Speak | CloneSpeech, headers: dict[str, str]
) -> StreamingResponse:
    """Raw bytes with the right type."""
    mime = AUDIO_MIME[operation.format]
    return StreamingResponse(audio_chunks(events), headers={"Content-Type": mime} | headers)


async def audio_chunks(events: AsyncIterator[SpeechEvent]) -> AsyncGenerator[bytes]:
    """The encoded sound."""
    async with closing(events):
        async for event in events:
            if isinstance(event, AudioChunk):
                yield event.data


async def speech_frames(events: AsyncIterator[SpeechEvent]) -> AsyncGenerator[bytes]:
    """`speech.audio.delta` with base64 sound, last `speech.audio.done`."""
    async with closing(events):
        async for event in events:
            if isinstance(event, AudioChunk):
                audio = base64.b64encode(event.data).decode()
                yield frame({"type": "speech.audio.delta", "audio": audio})
            elif isinstance(event, Spoken):
                yield frame({"type": "speech.audio.done", "usage": spoken_usage(event)})


def spoken_usage(spoken: Spoken) -> dict[str, Any]:
    """Speech engines count characters in and seconds out; there are no tokens."""
    return {
        "type": "duration",
        "seconds": round(spoken.duration_s, 3),
        "input_characters": spoken.characters,
    }


async def spoken_envelope(
    context: Context,
    events: AsyncIterator[SpeechEvent],
    body: SpeechBody,
    recording: SpeechRecording,
) -> dict[str, Any]:
    """The whole sound, stored or inline."""
    data = sized(b"".join([chunk async for chunk in audio_chunks(events)]))
    blob, entry = await recording.keep(data)
    if body.response_format == "json":
        return {"audio": base64.b64encode(data).decode(), "format": "mp3"}
    key = body.response_format or "url"
    return envelope([await media_item(context, blob, key, entry=entry)])
