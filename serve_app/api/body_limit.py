"""Limits the size of bodies that are read into memory, before any route reads them."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

STREAMED = "streams_body"
LIMITED = "takes_limited_body"
SMALL_BYTES = 64 * 1024
"""What a form of the administration may have, and whatever is read of who has not signed in."""


def streams_body(request: Request) -> None:
    """Say, before the first byte is read, that the body is not kept in memory and has a limit of
    its own.
    """
    request.scope["state"][STREAMED] = True


def limit_body(scope: Scope, most_bytes: int | None) -> None:
    """Say, before the app is called, that the route needs no more than that; None is as any."""
    if most_bytes is not None:
        scope["state"][LIMITED] = most_bytes


class BodyLimit:
    """Refuses with 413 a body of more than `limit` bytes, while it comes or where its length is
    told before; whatever its type, since the framework reads a body before it looks at that.
    """

    def __init__(self, app: ASGIApp, *, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        limit = state.get(LIMITED, self._limit)
        declared, received = declared_length(Headers(scope=scope)), 0

        async def counted() -> Message:
            nonlocal received
            if declared > limit and not state.get(STREAMED):
                raise _too_large(limit)
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit and not state.get(STREAMED):
                raise _too_large(limit)
            return message

        await self._app(scope, counted, send)


def declared_length(headers: Headers) -> int:
    """What `Content-Length` says, 0 where it says nothing of use: the bytes are counted anyway."""
    declared = headers.get("content-length", "")
    return (
        int(declared) if declared.isascii() and declared.isdecimal() and len(declared) < 19 else 0
    )


def _too_large(limit: int) -> HTTPException:
    # FastAPI passes this class on from where it reads the body, and no other.
    return HTTPException(413, f"the body has more than {limit} bytes")
