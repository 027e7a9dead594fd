"""The first credentials: from the environment, or one that is made up and shown once."""

import time
from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from serve_app.access.passwords import Passwords, check_password
from serve_app.access.token_store import NewToken, add_token, all_tokens, mirror_environment
from serve_app.access.tokens import API_OWNER, Scope, generate_token
from serve_app.access.users import add_user, check_username, find_user
from serve_app.access.web_sessions import ensure_secret
from serve_app.core.errors import InvalidRequest
from serve_app.database.connection import Database
from serve_app.database.schema import UserRow

FIRST_ADMIN = "first admin"


class UnusableCredentials(RuntimeError):
    """The environment names credentials that the server cannot take."""


def prepare_access(
    database: Database, environment: Mapping[str, str], *, passwords: Passwords | None = None
) -> str | None:
    """Bring the database in line with `API_TOKENS`, `ADMIN_TOKEN`, `ADMIN_USERNAME` and
    `ADMIN_PASSWORD`. To be called before any replica starts. Blocks.

    Returns an admin token that was made because there was no admin credential at all: it is to be
    shown to the operator, only its digest is kept. An admin user that exists keeps their password.
    Raises UnusableCredentials.
    """
    now = time.time()
    admin = _admin_of(environment, passwords or Passwords())

    def work(session: Session) -> str | None:
        ensure_secret(session)
        mirror_environment(session, environment, now=now)
        if admin is not None and find_user(session, admin[0]) is None:
            add_user(session, *admin, role="admin", must_change_password=False, now=now)
            session.flush()
        if _has_admin(session, now):
            return None
        token = generate_token()
        scopes: tuple[Scope, ...] = ("inference", "admin")
        add_token(session, NewToken(token, FIRST_ADMIN, scopes, API_OWNER), now=now)
        return token

    return database.write_now(work)


def announcement(token: str) -> str:
    """What the operator reads at the first start."""
    return (
        "no admin credential is configured; this admin token was created and is shown only once:\n"
        f"  {token}\n"
        "  set ADMIN_TOKEN, or ADMIN_USERNAME and ADMIN_PASSWORD, to choose your own\n"
    )


def _admin_of(environment: Mapping[str, str], passwords: Passwords) -> tuple[str, str] | None:
    """The admin's name and the hash of their password, None when no password is given."""
    password = environment.get("ADMIN_PASSWORD", "")
    if not password:
        return None
    username = environment.get("ADMIN_USERNAME") or "admin"
    try:
        check_username(username)
        check_password(password, param="password")
    except InvalidRequest as error:
        raise UnusableCredentials(f"ADMIN_{(error.param or '').upper()}: {error.message}") from None
    return username, passwords.hash_now(password)


def _has_admin(session: Session, now: float) -> bool:
    if session.scalar(select(UserRow.id).where(UserRow.role == "admin").limit(1)) is not None:
        return True
    return any(
        "admin" in token.scopes and (token.expires_at is None or token.expires_at > now)
        for token in all_tokens(session)
    )
