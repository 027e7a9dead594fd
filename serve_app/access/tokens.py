"""Credentials as they arrive and the principals behind them. Knows no database."""

import base64
import binascii
import hashlib
import hmac
import ipaddress
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from serve_app.core.errors import Forbidden, Unauthenticated

logger = logging.getLogger(__name__)
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

Scope = Literal["inference", "admin"]
Role = Literal["user", "admin"]
ROLE_SCOPES: dict[Role, frozenset[Scope]] = {
    "user": frozenset({"inference"}),
    "admin": frozenset({"inference", "admin"}),
}
API_OWNER = "api"
ANONYMOUS_OWNER = "anonymous"
MASKED_FROM = 16
"""A shorter token's masked form would show most of it."""


@dataclass(frozen=True)
class WebSession:
    """A signed-in browser. Times are unix seconds; `digest` names it in the database."""

    digest: str
    user_id: int
    username: str
    role: Role
    must_change_password: bool
    csrf_token: str
    created_at: float
    seen_at: float
    expires_at: float

    def has_csrf_token(self, presented: str) -> bool:
        """Whether the page was given this token; compared in constant time."""
        return hmac.compare_digest(
            self.csrf_token.encode(), presented.encode("utf-8", "surrogateescape")
        )


@dataclass(frozen=True)
class Principal:
    """The user a request acts for. `token_id` is a short digest, safe to log. `session` is set
    when the credential was the cookie.
    """

    owner: str
    scopes: frozenset[Scope]
    token_id: str | None = None
    session: WebSession | None = None
    expires_at: float | None = None

    @property
    def subject(self) -> str | None:
        """Whose rate is counted: a token's or a signed-in user's; None for anonymous calls."""
        if self.session is not None:
            return f"user-{self.session.user_id}"
        return self.token_id


ANONYMOUS = Principal(ANONYMOUS_OWNER, frozenset({"inference"}))


def generate_token() -> str:
    """`sk-` and 256 random bits in hex."""
    return f"sk-{secrets.token_hex(32)}"


def token_digest(token: str) -> bytes:
    """The SHA-256 that stands for a token at rest."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def shown_prefix(token: str) -> str:
    """What of a token may be shown: enough to recognise it."""
    return token[:7] if len(token) >= MASKED_FROM else ""


def masked(token: str) -> str:
    """`sk-1a2b…9f0e`."""
    return f"{token[:7]}…{token[-4:]}" if len(token) >= MASKED_FROM else "…"


def presented_token(headers: Mapping[str, str]) -> str | None:
    """The token of the first carrier present: Bearer, X-Api-Key, Coder-Session-Token, Basic."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    for name in ("x-api-key", "coder-session-token"):
        if headers.get(name, "").strip():
            return headers[name].strip()
    if scheme.lower() == "basic":
        return _basic_password(value.strip())
    return None


def _basic_password(value: str) -> str | None:
    try:
        decoded = base64.b64decode(value, validate=True).decode("utf-8", "surrogateescape")
    except (binascii.Error, ValueError):
        return None
    return decoded.partition(":")[2] or None


class Access:
    """Decides on a request's headers alone.

    `tokens` maps the SHA-256 of a token to its principal. With `required` false any caller is let
    in for `inference`, but only under a loopback `Host`, so that a web page cannot reach the
    server by a name of its own.
    """

    def __init__(self, tokens: Mapping[bytes, Principal], *, required: bool) -> None:
        self._tokens = dict(tokens)
        self.required = required

    def authenticate(self, headers: Mapping[str, str]) -> Principal | None:
        """The principal of the first carrier present, or None without one or for an unknown token.

        A token that is unknown never falls through to the next carrier.
        """
        token = presented_token(headers)
        return self._principal(token) if token else None

    def authorize(self, headers: Mapping[str, str], scope: Scope) -> Principal:
        """The principal, or Unauthenticated, or Forbidden when the scope is not enough."""
        principal = self.authenticate(headers)
        if principal is None and scope == "inference" and not self.required:
            return ANONYMOUS
        if principal is None:
            raise Unauthenticated(
                "a valid API token is needed; send 'Authorization: Bearer <token>'"
            )
        if scope not in principal.scopes:
            raise Forbidden(f"this credential lacks the scope {scope!r}")
        return principal

    def check_origin(self, host: str, peer: str | None) -> None:
        """Raises Forbidden, while no token is required, for a `Host` that is not a loopback name
        and for a peer that is not a loopback address: Serve's replicas listen on every interface.
        """
        if self.required:
            return
        if peer is not None and not is_loopback(peer):
            raise Forbidden(
                "only this machine may call while auth.required is false; "
                "set auth.required and API_TOKENS",
                code="host_not_allowed",
            )
        if host_name(host) not in LOOPBACK_NAMES:
            raise Forbidden(
                f"host {host[:100]!r} is not allowed while auth.required is false; "
                "use localhost or 127.0.0.1, or set auth.required and API_TOKENS",
                code="host_not_allowed",
            )

    def _principal(self, token: str) -> Principal | None:
        """Compared by digest: a dictionary look-up of a SHA-256 tells nothing of the token by its
        time, and the digest found is compared in constant time.
        """
        digest = token_digest(token)
        for known, principal in self._tokens.items():
            if hmac.compare_digest(known, digest):
                return principal
        return None


def access_from_environment(environment: Mapping[str, str], *, required: bool) -> Access:
    """`API_TOKENS` (comma list, scope inference) and `ADMIN_TOKEN` (scopes admin and inference)."""
    tokens: dict[bytes, Principal] = {}
    for token in environment.get("API_TOKENS", "").split(","):
        if token.strip():
            _add(tokens, token.strip(), "api", frozenset({"inference"}))
    admin = environment.get("ADMIN_TOKEN", "").strip()
    if admin:
        _add(tokens, admin, "api", frozenset({"inference", "admin"}))
    if required and not tokens:
        logger.warning("auth.required is true, but neither API_TOKENS nor ADMIN_TOKEN is set")
    return Access(tokens, required=required)


def _add(tokens: dict[bytes, Principal], token: str, owner: str, scopes: frozenset[Scope]) -> None:
    digest = token_digest(token)
    tokens[digest] = Principal(owner, scopes, token_id=digest.hex()[:12])


def is_loopback(address: str) -> bool:
    """Whether an IP address is one of this machine to itself."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def host_name(host: str) -> str:
    """The name in a `Host` header, without port and brackets, lower case."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()
