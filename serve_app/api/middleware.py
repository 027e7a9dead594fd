"""What holds on every route: request ids, access control, and errors that nobody else rendered."""

import logging
import re
import secrets
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.access.tokens import ANONYMOUS, Access
from serve_app.access.tokens import Scope as AccessScope
from serve_app.api.errors import error_response
from serve_app.core.errors import AppError, InternalError

logger = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"(?!\.+$)[A-Za-z0-9\-_:.]{1,128}")
OPEN_PATHS = frozenset(
    {"/health", "/healthz", "/v1/health", "/up", "/docs", "/redoc", "/openapi.json", "/login"}
)
OPEN_PREFIXES = ("/docs/", "/artifacts/")
ADMIN_PREFIXES = ("/admin", "/metrics", "/api/v2/ai")


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


class Gate:
    """Gives every request a principal, or refuses it, before any route sees it."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        access: Access,
        is_open: Callable[[str, str], bool] = lambda _method, _path: False,
    ) -> None:
        self._app = app
        self._access = access
        self._is_open = is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope, to which RequestIds gave its id."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        has_started = False

        async def observed_send(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            peer = scope["client"][0] if scope.get("client") else None
            self._access.check_origin(headers.get("host", ""), peer)
            scope["state"]["principal"] = self._admit(scope["method"], scope["path"], headers)
            await self._app(scope, receive, observed_send)
        except Exception as error:
            if has_started:
                raise
            failure = _as_app_error(error, scope["state"]["request_id"])
            await error_response(failure, scope["path"])(scope, receive, send)

    def _admit(self, method: str, path: str, headers: Headers) -> object:
        needed = needed_scope(path)
        if needed is None or self._is_open(method, path):
            return ANONYMOUS
        return self._access.authorize(headers, needed)


def accepted_request_id(inbound: str | None) -> str:
    """The caller's id if it is a sane one, else a fresh one of 16 hex digits."""
    if inbound is not None and REQUEST_ID.fullmatch(inbound):
        return inbound
    return secrets.token_hex(8)


def needed_scope(path: str) -> AccessScope | None:
    """The scope a path asks for, None for open ones."""
    if path in OPEN_PATHS or path.startswith(OPEN_PREFIXES):
        return None
    is_admin = any(path == prefix or path.startswith(f"{prefix}/") for prefix in ADMIN_PREFIXES)
    return "admin" if is_admin else "inference"


def _as_app_error(error: Exception, request_id: str) -> AppError:
    if isinstance(error, AppError):
        return error
    logger.error("request %s failed", request_id, exc_info=error)
    return InternalError("the server failed on this request; its log says why")
