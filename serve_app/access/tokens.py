"""Credentials of requests and the principals behind them. Knows no database."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from serve_app.core.budget import Budget

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
    """A signed-in browser. Times are unix seconds; `digest` names it in the database. A user
    without a password was made by forward authentication.
    """

    digest: str
    user_id: int
    username: str
    role: Role
    must_change_password: bool
    csrf_token: str
    created_at: float
    seen_at: float
    expires_at: float
    has_password: bool = True

    def has_csrf_token(self, presented: str) -> bool:
        """Whether the page was given this token; compared in constant time."""
        return hmac.compare_digest(
            self.csrf_token.encode(), presented.encode("utf-8", "surrogateescape")
        )


@dataclass(frozen=True)
class Principal:
    """The user a request acts for. `token_id` is a short digest, safe to log, and `token_number`
    counts the tokens from 1. `session` is set when the credential was the cookie; `budget` is what
    a token may use.
    """

    owner: str
    scopes: frozenset[Scope]
    token_id: str | None = None
    session: WebSession | None = None
    expires_at: float | None = None
    token_number: int = 0
    budget: Budget | None = None

    @property
    def subject(self) -> str | None:
        """Whose rate is counted: a token's or a signed-in user's; None for anonymous calls."""
        if self.session is not None:
            return f"user-{self.session.user_id}"
        return self.token_id


ANONYMOUS = Principal(ANONYMOUS_OWNER, frozenset({"inference"}))


def scopes_of(named: Iterable[Scope]) -> frozenset[Scope]:
    """What a credential with these scopes may do: admin includes inference."""
    scopes = frozenset(named)
    return scopes | {"inference"} if "admin" in scopes else scopes


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


def presented_token(headers: Mapping[str, str], *, takes_bare_basic: bool = False) -> str | None:
    """The token of the first carrier present: Bearer, X-Api-Key, Coder-Session-Token, Basic. With
    `takes_bare_basic`, Basic may be the token alone, without a user name.
    """
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    for name in ("x-api-key", "coder-session-token"):
        if headers.get(name, "").strip():
            return headers[name].strip()
    if scheme.lower() == "basic":
        return _basic_password(value.strip(), takes_bare=takes_bare_basic)
    return None


def _basic_password(value: str, *, takes_bare: bool) -> str | None:
    try:
        decoded = base64.b64decode(value, validate=True).decode("utf-8", "surrogateescape")
    except (binascii.Error, ValueError):
        return None
    name, colon, password = decoded.partition(":")
    return password or (name if takes_bare and not colon else None) or None
