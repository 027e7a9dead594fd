"""Bodies that are read whole into memory are bounded before any route reads them."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

STREAMED = "streams_body"


def streams_body(request: Request) -> None:
    """Say, before the first byte is read, that the body is not kept in memory and has a limit of
    its own.
    """
    request.scope["state"][STREAMED] = True


class BodyLimit:
    """Refuses with 413 a body of more than `limit` bytes, while it comes; whatever its type, since
    the framework reads a body before it looks at that.
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
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit and not state.get(STREAMED):
                # FastAPI passes this class on from where it reads the body, and no other.
                raise HTTPException(413, f"a body of more than {self._limit} bytes")
            return message

        await self._app(scope, counted, send)
