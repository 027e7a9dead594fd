"""Web sessions: the signed cookie and the row behind it."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from serve_app.access.token_store import announce
from serve_app.access.tokens import WebSession
from serve_app.database.schema import SettingRow, UserRow, WebSessionRow

SECRET = "session_secret"
SECRET_BYTES = 32
LIVES_S = 120 * 60.0
LONGEST_S = 30 * 86_400.0
SEEN_EVERY_S = 60.0


@dataclass(frozen=True)
class OpenedSession:
    """A new web session and the cookie's value, which is not kept."""

    cookie: str
    session: WebSession


def cookie_name(port: int) -> str:
    """Browsers share cookies among the ports of a host, so each server has a name of its own."""
    return f"session_{port}"


def signed(session_id: str, secret: bytes) -> str:
    """The cookie's value: the id and its HMAC-SHA256."""
    return f"{session_id}.{_signature(session_id, secret)}"


def digest_of(cookie: str, secret: bytes) -> str | None:
    """The digest by which the database knows a cookie; None for one that was not signed here."""
    session_id, _, signature = cookie.partition(".")
    expected = _signature(session_id, secret)
    if not hmac.compare_digest(signature.encode("utf-8", "replace"), expected.encode()):
        return None
    return _digest(session_id)


def secret_in(session: Session) -> bytes | None:
    """The key that cookies are signed with, None before it was made."""
    row = session.get(SettingRow, SECRET)
    return None if row is None else bytes.fromhex(row.value)


def ensure_secret(session: Session) -> bytes:
    """The key that cookies are signed with."""
    found = secret_in(session)
    if found is not None:
        return found
    made = secrets.token_bytes(SECRET_BYTES)
    session.add(SettingRow(name=SECRET, value=made.hex()))
    session.flush()
    announce(session)
    return made


def open_session(session: Session, user: UserRow, *, now: float) -> OpenedSession:
    """Sign a user in. Web sessions that ran out are removed on the way."""
    session.execute(delete(WebSessionRow).where(WebSessionRow.expires_at <= now))
    session_id = secrets.token_hex(32)
    row = WebSessionRow(
        digest=_digest(session_id),
        user_id=user.id,
        csrf_token=secrets.token_hex(32),
        created_at=now,
        seen_at=now,
        expires_at=now + LIVES_S,
    )
    session.add(row)
    return OpenedSession(signed(session_id, ensure_secret(session)), _web_session(row, user))


def find_session(session: Session, digest: str) -> WebSession | None:
    """The web session as the database has it, expired or not."""
    found = session.execute(
        select(WebSessionRow, UserRow)
        .join(UserRow, UserRow.id == WebSessionRow.user_id)
        .where(WebSessionRow.digest == digest)
    ).first()
    return None if found is None else _web_session(found[0], found[1])


def extend_session(session: Session, web: WebSession, *, now: float) -> None:
    """Let it live on from now, but never longer than the cookie."""
    expires_at = min(now + LIVES_S, web.created_at + LONGEST_S)
    session.execute(
        update(WebSessionRow)
        .where(WebSessionRow.digest == web.digest, WebSessionRow.seen_at <= now - SEEN_EVERY_S)
        .values(seen_at=now, expires_at=expires_at)
    )


def close_session(session: Session, digest: str) -> None:
    """Sign out."""
    session.execute(delete(WebSessionRow).where(WebSessionRow.digest == digest))
    announce(session)


def _web_session(row: WebSessionRow, user: UserRow) -> WebSession:
    return WebSession(
        digest=row.digest,
        user_id=user.id,
        username=user.username,
        role="admin" if user.role == "admin" else "user",
        must_change_password=user.must_change_password,
        csrf_token=row.csrf_token,
        created_at=row.created_at,
        seen_at=row.seen_at,
        expires_at=row.expires_at,
        has_password=user.password is not None,
    )


def _digest(session_id: str) -> str:
    return hashlib.sha256(session_id.encode("utf-8", "replace")).hexdigest()


def _signature(session_id: str, secret: bytes) -> str:
    return hmac.new(secret, session_id.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
