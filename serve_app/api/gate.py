"""Who may pass: credentials, scopes, rates, and errors that nobody else rendered."""

import logging
from collections.abc import Callable, Sequence
from functools import lru_cache
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.access.authentication import Access, check_csrf, check_scope, unauthenticated
from serve_app.access.callers import Network, is_within
from serve_app.access.rate_limits import Admission
from serve_app.access.tokens import ANONYMOUS, Principal
from serve_app.access.tokens import Scope as AccessScope
from serve_app.api.body_limit import takes_small_body
from serve_app.api.errors import error_response
from serve_app.api.route_table import REMEMBERED, RouteTable
from serve_app.core.errors import (
    AppError,
    Forbidden,
    InternalError,
    InvalidRequest,
    Unauthenticated,
)
from serve_app.runtime.disks import full_disk

logger = logging.getLogger(__name__)

OPEN_PATHS = frozenset(
    {
        "/health",
        "/healthz",
        "/v1/health",
        "/up",
        "/docs",
        "/redoc",
        "/openapi.json",
        "/login",
        "/logout",
        "/admin/api/login",
    }
)
OPEN_PREFIXES = ("/docs/", "/artifacts/")
METRICS = "/metrics"
ADMINISTRATION = "/admin"
ADMIN_PREFIXES = (ADMINISTRATION, METRICS, "/api/v2/ai")
CHANGE_PASSWORD = "/admin/change-password"
OWN_PATHS = frozenset({CHANGE_PASSWORD, "/admin/api/session"})
"""Of the signed-in user alone: no scope is needed, but a credential is."""
PROFILES = frozenset({"characters", "environments", "voices"})


class Visit:
    """One request on its way: whether its answer has begun, and what its credential has left."""

    def __init__(self, send: Send) -> None:
        self.has_started = False
        self.admission: Admission | None = None
        self._send = send

    async def send(self, message: Message) -> None:
        """Send on, with the rate's headers."""
        self.has_started = True
        if self.admission is not None and message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in self.admission.window.headers().items():
                headers[name] = value
        await self._send(message)

    def leave(self) -> None:
        """The request has ended."""
        if self.admission is not None:
            self.admission.leave()


class Gate:
    """Gives every request a principal, or refuses it, before any route sees it."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        access: Access,
        routes: RouteTable,
        scrapers: Sequence[Network] = (),
        is_open: Callable[[str, str], bool] = lambda _method, _path: False,
    ) -> None:
        self._app = app
        self._access = access
        self._routes = routes
        self._scrapers = scrapers
        self._is_open = is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope, to which RequestIds gave its id."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        visit = Visit(send)
        try:
            scope["state"]["principal"] = await self._admit(scope, headers, visit)
            await self._app(scope, receive, visit.send)
        except Exception as error:
            if visit.has_started:
                raise
            failure = _as_app_error(error, scope["state"]["request_id"])
            await refusal(failure, scope, headers)(scope, receive, visit.send)
        finally:
            visit.leave()

    async def _admit(self, scope: Scope, headers: Headers, visit: Visit) -> Principal:
        method = scope["method"]
        peer = scope["client"][0] if scope.get("client") else None
        access = self._access
        access.check_origin(method, headers, peer, scheme=scope["scheme"])
        if "\r" in scope["path"] or "\n" in scope["path"]:
            # A pattern's `$` overlooks one at the end, what compares texts does not.
            raise InvalidRequest("the path holds a line break; leave it out")
        path = self._routes.pattern(scope)
        needed = None if self._is_open(method, path) else needed_scope(method, path)
        if needed is None or is_below(path, ADMINISTRATION):
            takes_small_body(scope)
        if needed is None:
            return ANONYMOUS
        if path == METRICS and self._scrapers:
            caller = access.caller(headers, peer, scheme=scope["scheme"])
            if is_within(caller.address, self._scrapers):
                return ANONYMOUS
        principal = await access.authenticate(headers, peer, scheme=scope["scheme"])
        if principal is None:
            if access.required or needed == "admin" or is_own(method, path):
                raise unauthenticated()
            return ANONYMOUS
        if access.rates is not None:
            visit.admission = await access.rates.admit(principal, method, path)
            if visit.admission is not None and visit.admission.refusal is not None:
                raise visit.admission.refusal
        check_scope(principal, needed)
        if principal.session is not None:
            caller = access.caller(headers, peer, scheme=scope["scheme"])
            check_csrf(principal.session, method, headers, caller)
            if principal.session.must_change_password and path != CHANGE_PASSWORD:
                raise Forbidden(f"the password must be changed first, at {CHANGE_PASSWORD}")
        return principal


def is_own(method: str, path: str) -> bool:
    """Whether the route with the pattern `path`, below `/admin`, is for every signed-in user: what
    is one's own, and reading the saved profiles, which are everybody's.
    """
    if path in OWN_PATHS:
        return True
    parts = path.split("/")
    is_profile = parts[1:3] == ["admin", "api"] and len(parts) > 3 and parts[3] in PROFILES
    return is_profile and method in ("GET", "HEAD")


@lru_cache(REMEMBERED)
def needed_scope(method: str, path: str) -> AccessScope | None:
    """The scope that the route with the pattern `path` asks for, None for open ones."""
    if path in OPEN_PATHS or path.startswith(OPEN_PREFIXES):
        return None
    if is_own(method, path):
        return "inference"
    return "admin" if is_below(path, *ADMIN_PREFIXES) else "inference"


def is_below(path: str, *prefixes: str) -> bool:
    """Whether a path is one of these or in one of these folders."""
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in prefixes)


def refusal(error: AppError, scope: Scope, headers: Headers) -> Response:
    """The error's answer; who has yet to sign in is sent from a page to the form."""
    path: str = scope["path"]
    is_page = is_below(path, ADMINISTRATION)
    if path.startswith("/admin/api/") or scope["method"] not in ("GET", "HEAD"):
        is_page = False
    wants_html = "text/html" in headers.get("accept", "")
    if isinstance(error, Unauthenticated) and is_page and wants_html:
        return RedirectResponse(f"/login?next={quote(path, safe='/')}", 302)
    return error_response(error, path)


def _as_app_error(error: Exception, request_id: str) -> AppError:
    if isinstance(error, AppError):
        return error
    logger.error("request %s failed", request_id, exc_info=error)
    return full_disk(error) or InternalError("the server failed on this request; its log says why")
