"""Middleware that records times, statuses and, where asked, bodies. It buffers nothing."""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.access.tokens import ANONYMOUS, Principal
from serve_app.api.dialect import Dialects
from serve_app.metering.usage_meter import UsageMeter
from serve_app.observability.observability import Observability
from serve_app.observability.observed import Observed
from serve_app.observability.payloads import Capture

STREAMED = (b"text/event-stream", b"audio/")


class Observation:
    """Gives every request an `Observed`, for the routes to add to, and hands it on at its end."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        observability: Observability,
        meter: UsageMeter,
        dialects: Dialects,
    ) -> None:
        self._app = app
        self._observability = observability
        self._meter = meter
        self._dialects = dialects

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope, to which RequestIds gave its id."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = observed_in(scope)
        self._classify(request)
        if not self._observability.watches(request):
            try:
                await self._app(scope, receive, send)
            finally:
                self._charge(request, scope)
            return
        watch = AnswerWatch(request, self._observability)
        try:
            await self._app(scope, watch.receiver(receive), watch.sender(send))
        except (asyncio.CancelledError, OSError):
            # The server cancels a request whose client is gone; writing to it fails.
            request.has_left = not watch.is_complete
            raise
        except Exception:
            # Of an answer that had begun; the Gate renders all other failures.
            watch.fail()
            raise
        finally:
            self._charge(request, scope)
            watch.end(scope)

    def _charge(self, request: Observed, scope: Scope) -> None:
        used = request.settle()
        if used is not None:
            payer: Principal = scope["state"].get("principal") or ANONYMOUS
            self._meter.add(payer.token_number, payer.owner, request.model, request.provider, used)

    def _classify(self, request: Observed) -> None:
        """By the path alone: a request is watched before its route is known."""
        rule = self._dialects.rule(request.method, request.path)
        is_preflight = request.method == "OPTIONS"
        request.category = rule.category
        request.is_counted = rule.is_counted and not is_preflight
        request.is_logged = rule.is_logged and not is_preflight


class AnswerWatch:
    """One request between the server and the app."""

    def __init__(self, request: Observed, observability: Observability) -> None:
        self.is_complete = False
        self._request = request
        self._observability = observability
        self._capture: Capture | None = observability.capture(request)
        self._is_streamed = False

    def receiver(self, receive: Receive) -> Callable[[], Awaitable[Message]]:
        """`receive`, watched."""

        async def watched() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect":
                self._request.has_left = self._request.has_left or not self.is_complete
            elif self._capture is not None and message.get("body"):
                self._observability.captured(self._capture, "request", message["body"])
            return message

        return watched

    def sender(self, send: Send) -> Callable[[Message], Awaitable[None]]:
        """`send`, watched."""

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._begin(message)
            elif message["type"] == "http.response.body":
                self._pass(message.get("body", b""))
                # Told before the last byte is sent: a client may leave in the same instant.
                self.is_complete = not message.get("more_body", False)
            await send(message)

        return watched

    def fail(self) -> None:
        """The app broke its answer off."""
        self._request.status = 500

    def end(self, scope: Scope) -> None:
        """Nothing more will come."""
        request = self._request
        if not self.is_complete and request.status is not None and request.status < 400:
            request.has_left = True
        principal = scope["state"].get("principal")
        request.token_id = principal.token_id if principal is not None else None
        request.end()
        self._observability.ended(request, self._capture)

    def _begin(self, message: Message) -> None:
        self._request.status = message["status"]
        for name, value in message.get("headers", ()):
            if name == b"retry-after":
                self._request.may_pass = True
            elif name == b"content-type":
                self._is_streamed = value.startswith(STREAMED)
        if self._capture is not None:
            self._capture.response_headers = list(message.get("headers", ()))

    def _pass(self, body: bytes) -> None:
        if body and self._is_streamed and self._request.first_ms is None:
            self._request.first_ms = self._request.elapsed_ms
        if body and self._capture is not None:
            self._observability.captured(self._capture, "response", body)


def observed_in(scope: Scope) -> Observed:
    """A request's record, made when it is first asked for."""
    state = scope.setdefault("state", {})
    found: Observed | None = state.get("observed")
    if found is None:
        request_id = state.get("request_id", "")
        found = Observed(scope["method"], scope["path"], request_id=request_id)
        found.query = scope.get("query_string", b"")
        found.headers = scope["headers"]
        found.scheme = scope.get("scheme", "http")
        found.client = scope["client"][0] if scope.get("client") else None
        state["observed"] = found
    return found


def observed(request: Request) -> Observed:
    """The record that a route adds to."""
    return observed_in(request.scope)
