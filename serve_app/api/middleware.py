"""Middleware for every request: request ids, security headers, HEAD."""

import contextlib
import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.core.upstreams.hops import HOP_HEADER, hopped, hops_in
from serve_app.runtime.random_ids import random_hex

REQUEST_ID = re.compile(r"(?!\.+$)[A-Za-z0-9\-_:.]{1,128}")


class RequestIds:
    """Gives every request an id, and every response the id of its request; and tells browsers that
    the type of a response is what it says.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = accepted_request_id(Headers(scope=scope).get("x-request-id"))
        scope.setdefault("state", {})["request_id"] = request_id
        header_value = request_id.encode()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                # Nobody else says these, so that there are none to be replaced.
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", header_value),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        await self._app(scope, receive, send_with_id)


class ProviderHops:
    """Remembers how many servers like this one a request has passed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        told = [value for name, value in scope.get("headers", ()) if name == HOP_HEADER]
        if not told:
            await self._app(scope, receive, send)
            return
        with hopped(hops_in(told[0])):
            await self._app(scope, receive, send)


class HeadMiddleware:
    """Answers HEAD wherever GET is served, as GET is but without the body: what is behind sees a
    GET. RFC 9110 section 14.2 has ranges for GET alone.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        headers = [pair for pair in scope["headers"] if pair[0].lower() != b"range"]
        as_get = {**scope, "method": "GET", "headers": headers}

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b""})
                raise _Answered

        # A stream would go on for nobody: whatever makes the body is stopped.
        with contextlib.suppress(_Answered):
            await self._app(as_get, receive, send_head)


class _Answered(Exception):
    """All that a HEAD gets has been sent."""


def accepted_request_id(inbound: str | None) -> str:
    """The caller's id if it is a sane one, else a fresh one of 16 hex digits."""
    if inbound is not None and REQUEST_ID.fullmatch(inbound):
        return inbound
    return random_hex(8)
