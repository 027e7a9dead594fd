"""Server-sent events: one write per event, and failures after the first as one last frame."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import StreamingResponse

from serve_app.api.dialect import RenderError, dialect_in
from serve_app.api.json_answer import dumps
from serve_app.core.errors import AppError, InternalError
from serve_app.runtime.streams import close

logger = logging.getLogger(__name__)

SSE_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}
DONE = b"data: [DONE]\n\n"


def frame(value: Any) -> bytes:
    """One event: compact JSON on one line, non-ASCII unescaped."""
    return b"data: " + dumps(value) + b"\n\n"


def sse_response(
    frames: AsyncIterator[bytes],
    request: Request,
    *,
    headers: dict[str, str] | None = None,
    render: RenderError | None = None,
) -> StreamingResponse:
    """A streamed answer. What `frames` raises becomes a last frame in the dialect's error shape,
    or what `render` makes of it.
    """
    guarded = _guarded(frames, request, render or dialect_in(request.scope).render_error)
    return StreamingResponse(guarded, headers=SSE_HEADERS | (headers or {}))


async def _guarded(
    frames: AsyncIterator[bytes], request: Request, render: RenderError
) -> AsyncGenerator[bytes]:
    path = request.url.path
    try:
        async for item in frames:
            yield item
    except AppError as error:
        yield frame(render(error, path))
    except Exception:
        logger.exception("a stream on %s failed", path)
        failure = InternalError("the server failed during this answer", remedy="its log says why")
        yield frame(render(failure, path))
    finally:
        await close(frames)
