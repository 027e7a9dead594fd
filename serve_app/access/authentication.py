"""`Access`: who calls, and whether they may."""

from starlette.datastructures import Headers

from serve_app.access.callers import (
    LOOPBACK_NAMES,
    Caller,
    Network,
    Proxies,
    host_name,
    is_loopback,
)
from serve_app.access.credential_cache import CredentialCache
from serve_app.access.forward import ForwardedUser, ForwardSignIn
from serve_app.access.origins import Origins, names_a_page
from serve_app.access.passwords import Passwords
from serve_app.access.rate_limits import RateLimits, rate_limits
from serve_app.access.sign_in import SignIn
from serve_app.access.tokens import ROLE_SCOPES, Principal, Scope, WebSession, presented_token
from serve_app.access.web_sessions import cookie_name
from serve_app.core.config import AppConfig
from serve_app.core.errors import Forbidden, Unauthenticated, Unavailable
from serve_app.database.connection import Database

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Access:
    """Decides on a request's headers alone, from what this replica knows of the database.

    With `required` false any caller on this machine is let in for `inference`, but no web page of
    somebody else: it cannot reach the server by a name of its own, since `Host` must be a loopback
    name, and what it sends without reading the answer changes nothing.
    """

    def __init__(
        self,
        credentials: CredentialCache,
        sign_in: SignIn,
        *,
        required: bool,
        proxies: Proxies,
        rates: RateLimits | None,
        forward: ForwardSignIn | None = None,
        origins: Origins | None = None,
    ) -> None:
        self.credentials = credentials
        self.sign_in = sign_in
        self.required = required
        self.rates = rates
        self.forward = forward
        self.origins = origins or Origins()
        self._proxies = proxies

    def caller(self, headers: Headers, peer: str | None, *, scheme: str) -> Caller:
        """Where the request comes from."""
        return self._proxies.caller(headers, peer, scheme=scheme)

    async def authenticate(
        self, headers: Headers, peer: str | None, *, scheme: str, takes_bare_basic: bool = False
    ) -> Principal | None:
        """The principal of the first carrier present, or None without one or for one that is
        unknown, which never falls through to the next carrier. The cookie is the last carrier.
        Unavailable where a credential is needed and the database that may know it does not answer.
        """
        token = presented_token(headers, takes_bare_basic=takes_bare_basic)
        if token is not None:
            try:
                return await self.credentials.token(token)
            except Unavailable:
                if self.required:
                    raise
                return None
        if "cookie" not in headers:
            return None
        web = await self.web_session(headers, self.caller(headers, peer, scheme=scheme))
        if web is None or self._is_outdated(web, self.forwarded(headers, peer)):
            return None
        return Principal(
            web.username, ROLE_SCOPES[web.role], session=web, expires_at=web.expires_at
        )

    def refusal(self, headers: Headers) -> Unauthenticated:
        """The error for a request for which `authenticate` has given None."""
        error, token = unauthenticated(), presented_token(headers)
        if token is not None:
            error.why = self.credentials.why_refused(token)
        return error

    def forwarded(self, headers: Headers, peer: str | None) -> ForwardedUser | None:
        """Whom a listed proxy has signed in."""
        if self.forward is None:
            return None
        return self.forward.read(headers, self._proxies.neighbour(headers, peer))

    @staticmethod
    def _is_outdated(web: WebSession, forwarded: ForwardedUser | None) -> bool:
        """Whether the proxy in front says by now that somebody else sits there, or that its user
        has another role; the browser is sent to sign in anew.
        """
        if forwarded is None:
            return False
        has_changed_role = not web.has_password and web.role != forwarded.role
        return web.username != forwarded.username or has_changed_role

    async def web_session(self, headers: Headers, caller: Caller) -> WebSession | None:
        """The web session of the request's cookie, whatever other carriers there are."""
        value = _cookie(headers.get("cookie", ""), cookie_name(caller.port))
        return await self.credentials.session(value) if value else None

    def check_origin(self, method: str, headers: Headers, peer: str | None, *, scheme: str) -> None:
        """Raises Forbidden, while no token is required, for a peer that is not a loopback address,
        because Serve's replicas listen on every interface; for a `Host` that is not a loopback
        name; and for what would change something at the order of another site's page.
        """
        if self.required:
            return
        if peer is not None and not is_loopback(peer):
            raise _not_allowed("only clients on this machine are allowed")
        host = headers.get("host", "")
        if host_name(host) not in LOOPBACK_NAMES:
            raise _not_allowed(
                f"host {host[:100]!r} is not allowed", remedy="use localhost or 127.0.0.1"
            )
        if method in SAFE_METHODS or not names_a_page(headers):
            return
        if not self.origins.allow(headers, self.caller(headers, peer, scheme=scheme)):
            page = headers.get("origin", "another site")[:100]
            raise _not_allowed(
                f"web pages of {page!r} are not allowed",
                remedy="list the origin in server.cors_origins",
            )


def access_over(
    database: Database,
    config: AppConfig,
    *,
    own_proxies: tuple[Network, ...] = (),
    passwords: Passwords | None = None,
    forward_secret: str | None = None,
) -> Access:
    """Access control over the credentials of a database. `own_proxies` are Serve's HAProxy,
    `forward_secret` is what proxies that sign people in must send along.
    """
    forward = config.auth.forward
    return Access(
        CredentialCache(database),
        SignIn(database, passwords or Passwords()),
        required=config.auth.required,
        proxies=Proxies(own_proxies, config.server.trusted_proxies),
        rates=rate_limits(config.limits) if config.counts_rates else None,
        forward=ForwardSignIn(database, forward, forward_secret) if forward.proxies else None,
        origins=Origins(config.server.cors_origins, config.server.public_url),
    )


def _not_allowed(what: str, *, remedy: str | None = None) -> Forbidden:
    always = "while auth.required is false, or set auth.required and API_TOKENS"
    if remedy is None:
        return Forbidden(f"{what} {always}", code="host_not_allowed")
    return Forbidden(what, remedy=f"{remedy} {always}", code="host_not_allowed")


def unauthenticated() -> Unauthenticated:
    """The error for a request without a valid credential."""
    return Unauthenticated(
        "a valid API token is needed", remedy="send 'Authorization: Bearer <token>'"
    )


def check_scope(principal: Principal, scope: Scope) -> None:
    """Raises Forbidden when the credential does not carry the scope."""
    if scope not in principal.scopes:
        raise Forbidden(f"this credential lacks the scope {scope!r}")


def check_csrf(web: WebSession, method: str, headers: Headers, caller: Caller) -> None:
    """Raises Forbidden for a request with a cookie that changes something and that no page of this
    server has sent.
    """
    if method in SAFE_METHODS:
        return
    if caller.is_origin(headers.get("origin", "")):
        return
    if headers.get("sec-fetch-site", "") == "same-origin":
        return
    if web.has_csrf_token(headers.get("x-csrf-token", "")):
        return
    raise Forbidden(
        "a request with a session cookie needs this server's own 'Origin', or 'X-CSRF-Token' with "
        "the csrf_token of the session",
        code="csrf_failed",
    )


def _cookie(header: str, name: str) -> str | None:
    """The value of one cookie. Of several with its name the first counts, as browsers send the
    most specific first.
    """
    for part in header.split(";"):
        key, _, value = part.partition("=")
        if key.strip() == name:
            return value.strip()
    return None
