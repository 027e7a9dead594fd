"""Signing in with what a proxy in front says. It makes web sessions, nothing else."""

import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from starlette.datastructures import Headers

from serve_app.access.callers import is_within
from serve_app.access.tokens import Role
from serve_app.access.users import add_user, check_username, end_sessions, find_user
from serve_app.access.web_sessions import OpenedSession, open_session
from serve_app.core.errors import Forbidden
from serve_app.core.settings import ForwardAuth
from serve_app.database.connection import Database
from serve_app.database.schema import UserRow

SECRET = "FORWARD_AUTH_SECRET"
LEAST_SECRET = 16


class UnusableForwardAuth(RuntimeError):
    """Forward authentication is configured in a way that would let anybody in."""


@dataclass(frozen=True)
class ForwardedUser:
    """Whom the proxy has signed in."""

    username: str
    is_admin: bool

    @property
    def role(self) -> Role:
        """By the groups."""
        return "admin" if self.is_admin else "user"


def check_forward_auth(settings: ForwardAuth, secret: str | None) -> None:
    """Raises UnusableForwardAuth for proxies without a secret that they share with the server."""
    if settings.proxies and len(secret or "") < LEAST_SECRET:
        raise UnusableForwardAuth(
            f"auth.forward.proxies: set {SECRET} to a secret of at least {LEAST_SECRET} "
            "characters, which the proxies must send"
        )


class ForwardSignIn:
    """Reads the headers of listed proxies. `clock` gives unix seconds."""

    def __init__(
        self,
        database: Database,
        settings: ForwardAuth,
        secret: str | None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_forward_auth(settings, secret)
        self._database = database
        self._settings = settings
        self._secret = (secret or "").encode()
        self._clock = clock

    def read(self, headers: Headers, neighbour: str) -> ForwardedUser | None:
        """Whom the proxy at the address `neighbour` names; None when nobody may say so. A header
        that is there twice has an author whom the proxy has not stopped, and counts for nothing.
        """
        settings = self._settings
        if not is_within(neighbour, settings.proxies):
            return None
        presented = _only(headers, settings.secret_header)
        username = _only(headers, settings.user_header)
        groups = _only(headers, settings.group_header)
        if presented is None or groups is None or not username:
            return None
        if not hmac.compare_digest(presented.encode("utf-8", "surrogateescape"), self._secret):
            return None
        named = {group.strip() for group in groups.split(",")}
        return ForwardedUser(username, bool(named & set(settings.admin_groups)))

    async def sign_in(self, forwarded: ForwardedUser) -> OpenedSession:
        """A web session of the user, who is made on first sight, without a password, and whose role
        follows the proxy's groups. InvalidRequest for a name that no user can have; Forbidden for
        that of an account with a password: names at the proxy are given by somebody else, and who
        bears this one there need not be whose role, jobs and files are here.
        """
        check_username(forwarded.username)

        def work(session: Session) -> OpenedSession:
            user = find_user(session, forwarded.username) or self._add(session, forwarded)
            if user.password is not None:
                raise Forbidden(
                    f"{user.username!r} is an account of this server",
                    remedy="sign in with its password",
                )
            if user.role != forwarded.role:
                user.role = forwarded.role
                end_sessions(session, user.id)
            return open_session(session, user, now=self._clock())

        try:
            return await self._database.write(work)
        except IntegrityError:
            # Another replica has made the user in the same instant.
            return await self._database.write(work)

    def _add(self, session: Session, forwarded: ForwardedUser) -> UserRow:
        return add_user(
            session,
            forwarded.username,
            None,
            role=forwarded.role,
            must_change_password=False,
            now=self._clock(),
        )


def _only(headers: Headers, name: str) -> str | None:
    """The one value of a header, empty for none, None for several."""
    values = headers.getlist(name)
    if len(values) > 1:
        return None
    return values[0].strip() if values else ""
