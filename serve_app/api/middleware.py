"""Request ids, on every request and every response."""

import re
import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID = re.compile(r"(?!\.+$)[A-Za-z0-9\-_:.]{1,128}")


class RequestIds:
    """Gives every request an id, and every response the id of its request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = accepted_request_id(Headers(scope=scope).get("x-request-id"))
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        await self._app(scope, receive, send_with_id)


def accepted_request_id(inbound: str | None) -> str:
    """The caller's id if it is a sane one, else a fresh one of 16 hex digits."""
    if inbound is not None and REQUEST_ID.fullmatch(inbound):
        return inbound
    return secrets.token_hex(8)
