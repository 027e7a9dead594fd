"""Videos: asked for, waited for and read, in the form of OpenAI's Videos API."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.errors import AppError, PayloadTooLarge, TimedOut, UpstreamError
from serve_app.core.media import Blob
from serve_app.core.message import Progress
from serve_app.core.settings import Limits
from serve_app.core.upstreams.exchange import UpstreamRefused
from serve_app.core.video.generation import GeneratedVideo, GenerateVideo, VideoEvent
from serve_app.runtime.limits import LimitPassed, within
from serve_app.upstreams.openai_form.exchange import Object, OpenAIExchange
from serve_app.upstreams.openai_form.media_files import multipart
from serve_app.upstreams.openai_form.text_events import text
from serve_app.upstreams.openai_form.video_file import check_decoder, video_measures
from serve_app.upstreams.openai_form.video_request import video_form

PHASE = "generate"
PAUSE_S = 2.0
PAUSE_HEADER = "openai-poll-after-ms"
"""With which a provider says when to ask again."""
MOST_S = 2 * 3600.0
FAILURES = 5
"""Of looks in a row, before a video that may be paid for is given up."""
DELETE_S = 5.0
REFUSED_CODES = frozenset({"moderation_blocked", "content_policy_violation", "invalid_request"})
"""Of videos that fail because of what was asked for."""


async def generate_video(
    operation: GenerateVideo, exchange: OpenAIExchange, blobs: FsspecBlobStore, limits: Limits
) -> AsyncGenerator[VideoEvent]:
    """How far it is, then the video. Leaving it deletes the video at the provider."""
    check_decoder()
    form, notices = await video_form(operation, exchange, blobs)
    body, kind = multipart(form)
    async with exchange.opened("videos", body, kind) as response:
        state, pause_s = exchange.state_in(await response.read()), _pause_s(response.headers)
    id = text(state.get("id"))
    if not id or not id.replace("-", "").replace("_", "").isalnum():
        raise exchange.unreadable("has no id of a video")
    video = ProviderVideo(exchange, id)
    is_done = False
    try:
        begun = time.monotonic()
        while not _has_ended(state):
            yield Progress(phase=PHASE, current=_percent(state), total=100)
            if time.monotonic() - begun > MOST_S:
                raise TimedOut(f"the provider did not finish the video in {MOST_S:g} s")
            await asyncio.sleep(pause_s)
            state, pause_s = await video.state()
        is_done = True
        _check_success(state)
        blob = await video.content(blobs, limits)
    finally:
        if not is_done:
            await video.delete()
    measures = await video_measures(blob, blobs, exchange)
    yield GeneratedVideo(video=blob, seed=operation.seed, warnings=notices, **measures)


class ProviderVideo:
    """A video that a provider makes."""

    def __init__(self, exchange: OpenAIExchange, id: str) -> None:
        self._exchange = exchange
        self._path = f"videos/{id}"

    async def state(self) -> tuple[Object, float]:
        """How far it is, and when to look again. Looks that fail are repeated."""
        failures = 0
        while True:
            try:
                async with self._exchange.requested("GET", self._path) as response:
                    found = self._exchange.state_in(await response.read())
                    return found, _pause_s(response.headers)
            except (UpstreamRefused, UpstreamError, TimedOut) as error:
                failures += 1
                if not _may_pass(error) or failures == FAILURES:
                    raise
            await asyncio.sleep(PAUSE_S)

    async def content(self, blobs: FsspecBlobStore, limits: Limits) -> Blob:
        """The file."""
        async with self._exchange.requested("GET", f"{self._path}/content") as response:
            try:
                blob = await blobs.write(response.chunks(), limit=limits.upload_bytes)
            except PayloadTooLarge as error:
                raise self._exchange.unreadable("has too large a video") from error
        if not blob.mime.startswith("video/"):
            raise self._exchange.unreadable("has no video")
        return blob

    async def delete(self) -> None:
        """Nobody waits for it any more. A provider may refuse to stop."""
        with suppress(UpstreamRefused, AppError, LimitPassed):
            async with (
                within(DELETE_S),
                self._exchange.requested("DELETE", self._path) as response,
            ):
                await response.read()


def _has_ended(state: Object) -> bool:
    return state.get("status") in ("completed", "failed", "cancelled", "expired")


def _check_success(state: Object) -> None:
    """UpstreamRefused for a video that is not made."""
    if state["status"] == "completed":
        return
    error: Any = state.get("error")
    told = error if isinstance(error, dict) else {"message": f"the video is {state['status']}"}
    status = 400 if told.get("code") in REFUSED_CODES else 500
    raise UpstreamRefused(status, {}, json.dumps({"error": told}).encode())


def _may_pass(error: Exception) -> bool:
    if isinstance(error, UpstreamRefused):
        return error.status in (408, 429) or error.status >= 500
    return True


def _percent(state: Object) -> int:
    told = state.get("progress")
    return max(0, min(100, int(told))) if isinstance(told, int | float) else 0


def _pause_s(headers: Any) -> float:
    told = headers.get(PAUSE_HEADER, "")
    return min(int(told) / 1000, 60.0) if told.isdecimal() and len(told) < 8 else PAUSE_S
