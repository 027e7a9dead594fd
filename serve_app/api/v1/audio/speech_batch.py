"""POST /v1/audio/speech/batch: many texts in one call, each with an answer or an error."""

import asyncio
import logging
import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import ValidationError

from serve_app.api.call import dialect_errors
from serve_app.api.context import Context, ContextDep, PrincipalDep
from serve_app.api.dialect import dialect_in
from serve_app.api.errors import from_validation_errors
from serve_app.api.json_answer import json_response
from serve_app.api.request_body import ignored_header
from serve_app.api.v1.audio.speech_answer import SpeechOutput
from serve_app.api.v1.audio.speech_body import SpeechBatchBody, SpeechBody
from serve_app.api.v1.audio.speech_cloning import speech_request
from serve_app.api.v1.audio.speech_recording import SpeechRecording
from serve_app.api.v1.envelope import envelope
from serve_app.api.v1.media_links import MediaLinks
from serve_app.api.v1.wire import ERRORS
from serve_app.core.audio.speech import AudioChunk, Speak
from serve_app.core.audio.wav import sized
from serve_app.core.errors import AppError, InternalError, InvalidRequest
from serve_app.runtime.streams import closing

logger = logging.getLogger(__name__)

router = APIRouter(tags=["audio"], responses=ERRORS)
RUNS = (Speak,)
PARALLEL_ITEMS = 4
FORMS = ("url", "b64_wav", "b64_mp3")
WITHOUT_EFFECT = ("stream_format", "priority")


@router.post("/v1/audio/speech/batch")
async def speech_batch(
    body: SpeechBatchBody, request: Request, context: ContextDep, principal: PrincipalDep
) -> Response:
    """Speak up to 64 texts; one that fails has an `error` and the others are not affected."""
    body.refuse_job(request.headers)
    _check_form(body.response_format)
    batch = SpeechBatch(context, request, principal.owner)
    batch.ignored |= dict.fromkeys(body.model_extra or ())
    shared = body.model_dump(exclude_none=True, exclude={"items"})
    turns = asyncio.Semaphore(PARALLEL_ITEMS)

    async def spoken(index: int, item: object) -> dict[str, Any]:
        async with turns:
            return {"index": index} | await batch.item(index, shared, item)

    items = await asyncio.gather(*(spoken(i, item) for i, item in enumerate(body.items)))
    return json_response(envelope(int(time.time()), items), ignored_header(batch.ignored))


class SpeechBatch:
    """The items of one call. `ignored` are the fields that had no effect on one of them."""

    def __init__(self, context: Context, request: Request, owner: str) -> None:
        self._context = context
        self._path = request.url.path
        self._dialect = dialect_in(request.scope)
        self._render_error = self._dialect.render_error
        self._owner = owner
        self.ignored: dict[str, None] = {}

    async def item(self, index: int, shared: dict[str, Any], own: object) -> dict[str, Any]:
        """An item of the envelope or its error: the one place where a failure is part of an
        answer.
        """
        named = own if isinstance(own, dict) else {}
        given = {name: value for name, value in named.items() if value is not None}
        fields = {"response_format": "b64_wav"} | shared | given
        try:
            if not isinstance(own, dict):
                name = f"items[{index}]"
                raise InvalidRequest(f"{name!r} must be an object", param=name)
            return await self._spoken(SpeechBody.model_validate(fields))
        except ValidationError as error:
            return self._render_error(from_validation_errors(error.errors(), fields), self._path)
        except AppError as error:
            return self._render_error(error, self._path)
        except Exception:
            logger.exception("an item of a batch on %s failed", self._path)
            internal = InternalError("the server failed on this item", remedy="its log says why")
            return self._render_error(internal, self._path)

    async def _spoken(self, body: SpeechBody) -> dict[str, Any]:
        _check_form(body.response_format)
        body.refuse_job({})
        utterance = await speech_request(self._context, body)
        body.leave(*WITHOUT_EFFECT)
        self.ignored |= dict.fromkeys(body.ignored_names())
        recording = SpeechRecording(self._context, utterance.operation, self._owner, body.tag)
        events = recording.listen(utterance.events(self._context.catalog))
        async with utterance.explained(), closing(events):
            with dialect_errors(self._dialect, utterance.operation.name):
                parts = [event.data async for event in events if isinstance(event, AudioChunk)]
        blob, entry = await recording.keep(sized(b"".join(parts)))
        names = {blob.sha256: entry.filename} if entry else {}
        links = MediaLinks(self._context.files, names)
        item = await links.item(blob, SpeechOutput(response_format=body.response_format).form)
        warnings = self._dialect.told(recording.warnings, utterance.operation.name)
        return item | ({"warnings": warnings} if warnings else {})


def _check_form(response_format: str | None) -> None:
    if response_format not in (None, *FORMS):
        raise InvalidRequest(
            "unknown response format",
            remedy=f"formats: {', '.join(FORMS)}",
            param="response_format",
        )
