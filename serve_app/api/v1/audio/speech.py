"""POST /v1/audio/speech and /v1/audio/speech/stream."""

import base64
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from starlette.background import BackgroundTask

from serve_app.api.answers import Answer, Tell
from serve_app.api.call import Call, CallDep
from serve_app.api.caller_jobs import result_of
from serve_app.api.operation_answers import job_answer, job_submission, streamed
from serve_app.api.runs import run
from serve_app.api.sse import frame, sse_response
from serve_app.api.v1.audio.speech_answer import SpeechOutput, speech_body
from serve_app.api.v1.audio.speech_body import ENVELOPES, SpeechBody
from serve_app.api.v1.audio.speech_cloning import speech_request
from serve_app.api.v1.audio.speech_recording import SpeechRecording
from serve_app.api.v1.wire import ERRORS
from serve_app.core.audio.speech import (
    AUDIO_MIME,
    AudioChunk,
    CloneSpeech,
    Speak,
    SpeechEnd,
    SpeechEvent,
)
from serve_app.core.errors import InvalidRequest
from serve_app.runtime.streams import closing, started

router = APIRouter(tags=["audio"], responses=ERRORS)
DELTA_BYTES = 96 * 1024
"""Of audio in an event: engines that do not stream give all of it at once."""
ANSWERS = (
    Answer(Speak, SpeechOutput, speech_body),
    Answer(CloneSpeech, SpeechOutput, speech_body),
)


@router.post("/v1/audio/speech", response_class=Response)
async def speech(body: SpeechBody, call: CallDep) -> Response:
    """Speak a text: streamed bytes, server-sent events, or a JSON envelope."""
    context = call.context
    if body.stream_format == "sse":
        refuse_envelope(body, call.request)
    utterance = await speech_request(context, body)
    operation = utterance.operation
    if body.response_format in ENVELOPES or body.is_async(call.request.headers):
        output = SpeechOutput(response_format=body.response_format)
        async with utterance.explained():
            return await job_answer(call, body, operation, output)
    if body.needs_job(call.request.headers) and body.stream_format != "sse":
        async with utterance.explained():
            return await _of_a_job(call, body, operation)
    said = utterance.events(context.catalog)
    async with utterance.explained():
        events, headers = await streamed(call, body, operation, said)
    recording = SpeechRecording(context, operation, call.principal.owner, body.tag)
    recorded = recording.listen(events)
    if body.stream_format == "sse":
        frames = speech_frames(recorded, call.telling(operation))
        response = sse_response(frames, call.request, headers=headers)
    else:
        response = audio_response(recorded, operation, headers)
    response.background = BackgroundTask(recording.keep_without_errors)
    return response


@router.post("/v1/audio/speech/stream", response_class=Response)
async def speech_stream(body: SpeechBody, call: CallDep) -> Response:
    """Speak a text, always as streamed raw bytes."""
    context = call.context
    if body.response_format not in (None, "pcm", "wav"):
        raise InvalidRequest("this route streams only 'pcm' or 'wav'", param="response_format")
    if body.stream_format == "sse":
        body.leave("stream_format")
    utterance = await speech_request(context, body, default="pcm")
    operation = utterance.operation
    said = utterance.events(context.catalog)
    async with utterance.explained():
        events, headers = await streamed(call, body, operation, said)
    recording = SpeechRecording(context, operation, call.principal.owner, body.tag)
    response = audio_response(recording.listen(events), operation, headers)
    response.background = BackgroundTask(recording.keep_without_errors)
    return response


async def _of_a_job(call: Call, body: SpeechBody, operation: Speak | CloneSpeech) -> Response:
    """Raw bytes of what is to have a name or a callback: not before all is spoken."""
    job = await run(call, await job_submission(call, body, operation))
    result = result_of(job, operation, call.dialect)
    headers = {"X-Job-ID": job.id, "Content-Type": AUDIO_MIME[operation.format]} | body.ignored()
    # A job outlives its files: one that is gone is told before the answer has begun.
    audio = await started(call.context.blobs.read(result.audio))
    return StreamingResponse(audio, headers=headers)


def refuse_envelope(body: SpeechBody, request: Request) -> None:
    """InvalidRequest for events that are asked to be a job or one JSON answer as well."""
    body.refuse_job(request.headers)
    if body.response_format in ENVELOPES:
        raise InvalidRequest(
            f"{body.response_format!r} cannot be combined with stream_format 'sse'",
            remedy=f"use one of {', '.join(AUDIO_MIME)}",
            param="response_format",
        )


def audio_response(
    events: AsyncIterator[SpeechEvent], operation: Speak | CloneSpeech, headers: dict[str, str]
) -> StreamingResponse:
    """Raw bytes with the right type."""
    mime = AUDIO_MIME[operation.format]
    return StreamingResponse(audio_chunks(events), headers={"Content-Type": mime} | headers)


async def audio_chunks(events: AsyncIterator[SpeechEvent]) -> AsyncGenerator[bytes]:
    """The encoded audio."""
    async with closing(events):
        async for event in events:
            if isinstance(event, AudioChunk):
                yield event.data


async def speech_frames(events: AsyncIterator[SpeechEvent], tell: Tell) -> AsyncGenerator[bytes]:
    """`speech.audio.delta` with base64 audio, last `speech.audio.done`."""
    async with closing(events):
        async for event in events:
            if isinstance(event, AudioChunk):
                for start in range(0, len(event.data), DELTA_BYTES):
                    audio = base64.b64encode(event.data[start : start + DELTA_BYTES]).decode()
                    yield frame({"type": "speech.audio.delta", "audio": audio})
            elif isinstance(event, SpeechEnd):
                warnings = {"warnings": tell(event.warnings)} if event.warnings else {}
                done = {"type": "speech.audio.done", "usage": spoken_usage(event)}
                yield frame(done | warnings)


def spoken_usage(spoken: SpeechEnd) -> dict[str, Any]:
    """Speech engines count characters in and seconds out; there are no tokens."""
    return {
        "type": "duration",
        "seconds": round(spoken.duration_s, 3),
        "input_characters": spoken.characters,
    }
