"""Signing in with a user name and a password, throttled by name and by address."""

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from serve_app.access.passwords import Passwords, check_password
from serve_app.access.tokens import WebSession
from serve_app.access.users import end_sessions, find_user
from serve_app.access.web_sessions import OpenedSession, open_session
from serve_app.core.errors import InvalidRequest, RateLimited, Unauthenticated
from serve_app.database.connection import Database
from serve_app.database.locks import take_lock
from serve_app.database.schema import LoginFailureRow, UserRow

MOST_FAILURES = 5
WINDOW_S = 15 * 60.0


@dataclass(frozen=True)
class PasswordChange:
    """What the form of a signed-in user says; `old` is None where the change is forced."""

    old: str | None
    new: str


class SignIn:
    """Opens web sessions. `clock` gives unix seconds."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self.passwords = passwords
        self._clock = clock

    async def sign_in(self, username: str, password: str, *, address: str) -> OpenedSession:
        """A web session. Unauthenticated, with one text and in one time for every reason;
        RateLimited after too many failures.

        The attempt counts as a failure until it has succeeded, so that many at once are no way
        round the limit.
        """
        subjects = _subjects(username, address)
        attempt = await self._database.write(lambda session: self._reserve(session, subjects))
        user = await self._database.read(lambda session: find_user(session, username))
        stored = user.password if user is not None else None
        if not await self.passwords.are_equal(stored, password) or user is None:
            raise Unauthenticated("the user name or the password is wrong")
        user_id = user.id
        return await self._database.write(
            lambda session: self._open(session, user_id, stored, attempt, subjects)
        )

    async def is_password(self, username: str, password: str) -> bool:
        """Whether it is the user's. Counts nothing: for passwords that are known as credentials."""
        user = await self._database.read(lambda session: find_user(session, username))
        stored = user.password if user is not None else None
        return await self.passwords.are_equal(stored, password) and user is not None

    async def change_password(self, web: WebSession, change: PasswordChange) -> None:
        """Set the user's own password and end their other web sessions. InvalidRequest."""
        check_password(change.new, param="new_password")
        user = await self._database.read(lambda session: session.get(UserRow, web.user_id))
        if user is None:
            raise Unauthenticated("this user was removed")
        stored = user.password
        if change.old is not None and not await self.passwords.are_equal(stored, change.old):
            raise InvalidRequest("the old password is wrong", param="old_password")
        hashed = await self.passwords.hash(change.new)

        def work(session: Session) -> None:
            row = session.get(UserRow, web.user_id, with_for_update=True)
            if row is None or row.password != stored:
                raise InvalidRequest("the password was changed meanwhile", remedy="sign in again")
            row.password, row.must_change_password = hashed, False
            row.last_changed_at = self._clock()
            end_sessions(session, web.user_id, but=web.digest)

        await self._database.write(work)

    def _reserve(self, session: Session, subjects: list[str]) -> list[int]:
        for subject in sorted(subjects):
            take_lock(session, f"sign-in:{subject}")
        now = self._clock()
        session.execute(delete(LoginFailureRow).where(LoginFailureRow.at <= now - WINDOW_S))
        for subject in subjects:
            failures = select(LoginFailureRow.at).where(LoginFailureRow.subject == subject)
            times = sorted(session.scalars(failures))
            if len(times) >= MOST_FAILURES:
                wait_s = times[-MOST_FAILURES] + WINDOW_S - now
                raise RateLimited(
                    "too many failed sign-ins",
                    remedy=f"try again in {math.ceil(wait_s / 60)} min",
                    retry_after_s=wait_s,
                )
        rows = [LoginFailureRow(subject=subject, at=now) for subject in subjects]
        session.add_all(rows)
        session.flush()
        return [row.id for row in rows]

    def _open(
        self,
        session: Session,
        user_id: int,
        stored: str | None,
        attempt: list[int],
        subjects: list[str],
    ) -> OpenedSession:
        row = session.get(UserRow, user_id, with_for_update=True)
        if row is None or row.password != stored:
            raise Unauthenticated("the user name or the password is wrong")
        of_name = LoginFailureRow.subject == subjects[0]
        session.execute(delete(LoginFailureRow).where(of_name | LoginFailureRow.id.in_(attempt)))
        return open_session(session, row, now=self._clock())


def _subjects(username: str, address: str) -> list[str]:
    """Whose failures count: the name first. Digests, because callers choose names freely."""
    texts = (f"name {username}", f"address {address}")
    return [hashlib.sha256(text.encode("utf-8", "replace")).hexdigest() for text in texts]
