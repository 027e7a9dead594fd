"""JSON bodies are read whole into memory, so they are bounded before any route reads them."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """Refuses with 413 a JSON body of more than `limit` bytes, while it comes."""

    def __init__(self, app: ASGIApp, *, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        if "json" not in headers.get("content-type", "").lower():
            await self._app(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                # FastAPI passes this class on from where it reads the body, and no other.
                raise HTTPException(413, f"a JSON body of more than {self._limit} bytes")
            return message

        await self._app(scope, counted, send)
