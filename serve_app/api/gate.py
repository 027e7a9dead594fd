"""`Gate`: credentials, scopes and rate limits, and errors that nothing else has rendered."""

import logging
from collections.abc import Collection, Sequence
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.access.authentication import Access as AccessControl
from serve_app.access.authentication import check_csrf, check_scope
from serve_app.access.callers import Network, is_within
from serve_app.access.rate_limits import Admission
from serve_app.access.tokens import ANONYMOUS, Principal
from serve_app.api.body_limit import SMALL_BYTES, limit_body
from serve_app.api.dialect import DIALECT, Access, Dialects
from serve_app.api.errors import error_response
from serve_app.api.route_table import RouteTable
from serve_app.core.errors import (
    AppError,
    Forbidden,
    InternalError,
    InvalidRequest,
    Unauthenticated,
)
from serve_app.runtime.disks import full_disk

logger = logging.getLogger(__name__)

ADMINISTRATION = frozenset({"admin", "scrape"})
NEVER_ANONYMOUS = ADMINISTRATION | {"own"}


class Exchange:
    """A request and its answer: whether the answer has begun, and the credential's rate."""

    def __init__(self, send: Send) -> None:
        self.has_started = False
        self.admission: Admission | None = None
        self._send = send

    async def send(self, message: Message) -> None:
        """Send on, with the rate's headers."""
        self.has_started = True
        if self.admission is not None and message["type"] == "http.response.start":
            rate_headers = self.admission.window.headers().items()
            # Lower case, as ASGI has it; no route speaks of rates.
            message["headers"] = [
                *message.get("headers", ()),
                *((name.lower().encode(), value.encode()) for name, value in rate_headers),
            ]
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
        access: AccessControl,
        routes: RouteTable,
        dialects: Dialects,
        scrapers: Sequence[Network] = (),
        opened: Collection[Access] = (),
    ) -> None:
        """`opened` are the kinds of access that are open to everybody here."""
        self._app = app
        self._access = access
        self._routes = routes
        self._scrapers = scrapers
        self._dialects = dialects
        self._open = frozenset({"open", *opened})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope, to which RequestIds gave its id."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        exchange = Exchange(send)
        scope[DIALECT] = self._dialects.of(scope["path"])
        try:
            scope["state"]["principal"] = await self._admit(scope, headers, exchange)
            await self._app(scope, receive, exchange.send)
        except Exception as error:
            if exchange.has_started:
                raise
            failure = _as_app_error(error, scope["state"]["request_id"])
            answer = refusal(failure, scope, headers, self._dialects)
            await answer(scope, receive, exchange.send)
        finally:
            exchange.leave()

    async def _admit(self, scope: Scope, headers: Headers, exchange: Exchange) -> Principal:
        method, scheme = scope["method"], scope["scheme"]
        peer = scope["client"][0] if scope.get("client") else None
        access = self._access
        access.check_origin(method, headers, peer, scheme=scheme)
        if "\r" in scope["path"] or "\n" in scope["path"]:
            # A pattern's `$` overlooks one at the end, what compares texts does not.
            raise InvalidRequest("the path contains a line break", remedy="remove it")
        path = self._routes.pattern(scope)
        scope[DIALECT], rule = self._dialects.of(path), self._dialects.rule(method, path)
        is_open = rule.access in self._open
        limit_body(scope, SMALL_BYTES if is_open or rule.is_small else rule.most_bytes)
        if is_open:
            return ANONYMOUS
        if rule.access == "scrape" and self._scrapers:
            caller = access.caller(headers, peer, scheme=scheme)
            if is_within(caller.address, self._scrapers):
                return ANONYMOUS
        principal = await access.authenticate(
            headers, peer, scheme=scheme, takes_bare_basic=scope[DIALECT].takes_bare_basic
        )
        if principal is None:
            if access.required or rule.access in NEVER_ANONYMOUS:
                raise access.refusal(headers)
            return ANONYMOUS
        if access.rates is not None:
            exchange.admission = await access.rates.admit(principal, rule.rate_class)
            if exchange.admission is not None and exchange.admission.refusal is not None:
                raise exchange.admission.refusal
        check_scope(principal, "admin" if rule.access in ADMINISTRATION else "inference")
        if principal.session is not None:
            caller = access.caller(headers, peer, scheme=scheme)
            check_csrf(principal.session, method, headers, caller)
            pages = self._dialects.session_pages
            if principal.session.must_change_password and pages and path != pages.change_password:
                raise Forbidden(f"the password must be changed first, at {pages.change_password}")
        return principal


def refusal(error: AppError, scope: Scope, headers: Headers, dialects: Dialects) -> Response:
    """The error's answer; who has yet to sign in is sent from a page to the form."""
    path, method = scope["path"], scope["method"]
    pages = dialects.session_pages
    if pages and isinstance(error, Unauthenticated) and method in ("GET", "HEAD"):
        wants_html = "text/html" in headers.get("accept", "")
        if wants_html and dialects.rule(method, path).is_page:
            return RedirectResponse(f"{pages.sign_in}?next={quote(path, safe='/')}", 302)
    return error_response(error, dialects.of(path).render_error(error, path), scope)


def _as_app_error(error: Exception, request_id: str) -> AppError:
    if isinstance(error, AppError):
        return error
    logger.error("request %s failed", request_id, exc_info=error)
    failure = InternalError("the server failed on this request", remedy="its log says why")
    failure.request_id = request_id
    return full_disk(error) or failure
