"""The users of the database. Every function runs inside one transaction of its caller."""

import re
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from serve_app.access.token_store import announce, revoke_tokens_of
from serve_app.access.tokens import ANONYMOUS_OWNER, API_OWNER, Role
from serve_app.core.errors import InvalidRequest, NotFound
from serve_app.database.schema import UserRow, WebSessionRow

USERNAME = re.compile(r"[A-Za-z0-9._@-]{3,64}")
RESERVED = frozenset({API_OWNER, ANONYMOUS_OWNER})


@dataclass(frozen=True)
class UserChange:
    """What is to change; None leaves a field as it is. `password` is a hash."""

    role: Role | None = None
    password: str | None = None
    must_change_password: bool | None = None


def check_username(username: str) -> None:
    """Raises InvalidRequest for a name that nobody can have."""
    if not USERNAME.fullmatch(username):
        raise InvalidRequest(
            "a user name has 3 to 64 of the characters A-Z a-z 0-9 . _ @ -", param="username"
        )
    if username in RESERVED:
        raise InvalidRequest(
            f"the user name {username!r} is reserved", remedy="choose another", param="username"
        )


def all_users(session: Session) -> list[UserRow]:
    """Every user by id."""
    return list(session.scalars(select(UserRow).order_by(UserRow.id)))


def find_user(session: Session, username: str) -> UserRow | None:
    """The user of this name."""
    if not USERNAME.fullmatch(username):
        return None
    return session.scalar(select(UserRow).where(UserRow.username == username))


def add_user(
    session: Session,
    username: str,
    password: str | None,
    *,
    role: Role,
    must_change_password: bool,
    now: float,
) -> UserRow:
    """The row of a new user; `password` is a hash, None for who cannot sign in with one.
    InvalidRequest when the name is taken.
    """
    if find_user(session, username) is not None:
        raise InvalidRequest(f"the user name {username!r} is taken", param="username")
    row = UserRow(
        username=username,
        password=password,
        role=role,
        must_change_password=must_change_password,
        created_at=now,
        last_changed_at=now,
    )
    session.add(row)
    session.flush()
    return row


def change_user(session: Session, user_id: int, change: UserChange, *, now: float) -> None:
    """Change a user and end their web sessions. NotFound; InvalidRequest for the last admin."""
    row = _user(session, user_id)
    if change.role is not None and change.role != row.role:
        _keep_an_admin(session, row)
        row.role = change.role
    if change.password is not None:
        row.password, row.last_changed_at = change.password, now
    if change.must_change_password is not None:
        row.must_change_password = change.must_change_password
    end_sessions(session, user_id)


def remove_user(session: Session, user_id: int) -> None:
    """Delete a user, their web sessions and tokens. NotFound; InvalidRequest for the last admin."""
    row = _user(session, user_id)
    _keep_an_admin(session, row)
    end_sessions(session, user_id)
    revoke_tokens_of(session, row.username)
    session.delete(row)


def end_sessions(session: Session, user_id: int, *, but: str | None = None) -> None:
    """End a user's web sessions, except the one with the digest `but`."""
    ended = delete(WebSessionRow).where(WebSessionRow.user_id == user_id)
    session.execute(ended if but is None else ended.where(WebSessionRow.digest != but))
    announce(session)


def _user(session: Session, user_id: int) -> UserRow:
    row = session.get(UserRow, user_id, with_for_update=True)
    if row is None:
        raise NotFound(f"no user has the id {user_id!r}")
    return row


def _keep_an_admin(session: Session, row: UserRow) -> None:
    # Locked, so that two admins cannot remove each other at the same time.
    admins = session.scalars(select(UserRow.id).where(UserRow.role == "admin").with_for_update())
    if row.role == "admin" and len(list(admins)) == 1:
        raise InvalidRequest(
            f"{row.username!r} is the last admin", remedy="create another one first"
        )
