"""What the database says of tokens and web sessions, kept in a replica's memory.

A replica looks every two seconds whether anything was revoked or added, while it is asked; after a
pause the request that comes first waits for that look. While the database does not answer, what
is known stays in force.
"""

import asyncio
import hmac
import logging
import math
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from serve_app.access.token_store import (
    REVISION,
    USED_EVERY_S,
    all_tokens,
    record_use,
    revoked_digests,
)
from serve_app.access.tokens import Principal, WebSession, scopes_of, token_digest
from serve_app.access.web_sessions import (
    SEEN_EVERY_S,
    digest_of,
    extend_session,
    find_session,
    secret_in,
)
from serve_app.core.budget import stored_budget
from serve_app.core.errors import Unavailable
from serve_app.database.connection import Database
from serve_app.database.revisions import revision_of
from serve_app.database.schema import TokenRow

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0
LOOK_FIRST_S = 4.0
"""A revocation is seen within 5 s: older knowledge than this is not used before a look."""
LOOK_FOR_UNKNOWN_S = 0.5
PATIENCE_S = 1.0
RETRY_AFTER_S = 5
UNKNOWN = "the database does not respond, so this credential cannot be checked"
SESSION_CACHE_S = 60.0
MOST_SESSIONS = 10_000


@dataclass
class CachedToken:
    """A token of the table; `used_at` is when its use was last written down."""

    row_id: int
    digest: bytes
    principal: Principal
    expires_at: float | None
    used_at: float


@dataclass(frozen=True)
class CredentialTable:
    """Everything that is known at one revision."""

    revision: object
    secret: bytes | None
    tokens: dict[bytes, CachedToken]
    revoked: frozenset[bytes] = frozenset()


@dataclass(frozen=True)
class CachedSession:
    """A web session as it was read; None for one that is gone."""

    session: WebSession | None
    read_at: float


class CredentialCache:
    """Looks tokens and cookies up without a database read. `clock` gives unix seconds, `ticks`
    seconds that never go back.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ticks = ticks
        self._table: CredentialTable | None = None
        self._refreshed_at = -math.inf
        self._patient_from = 0.0
        self._refreshes = 0
        self._applied = 0
        self._refresh_task: asyncio.Task[None] | None = None
        self._sessions: dict[str, CachedSession] = {}
        self._background: set[asyncio.Task[Any]] = set()

    async def token(self, token: str) -> Principal | None:
        """The principal of a token, None for one that is unknown, revoked or expired. Unavailable
        when it is not known here and the database does not say.
        """
        await self._stay_fresh()
        digest = token_digest(token)
        known = self._find(digest)
        if known is None and self._ticks() - self._refreshed_at >= LOOK_FOR_UNKNOWN_S:
            has_refreshed = await self._wait_for(self._begin_refresh())
            known = self._find(digest)
            if known is None and not has_refreshed:
                raise Unavailable(UNKNOWN, remedy="try again", retry_after_s=RETRY_AFTER_S)
        if known is None:
            return None
        self._note_use(known)
        return known.principal

    def why_refused(self, token: str) -> Literal["expired", "revoked"] | None:
        """Why `token` gave None for one that there was."""
        digest = token_digest(token)
        if self._table is None or digest in self._table.revoked:
            return None if self._table is None else "revoked"
        return "expired" if digest in self._table.tokens else None

    async def session(self, cookie: str) -> WebSession | None:
        """The web session of a cookie, None for one that is forged, ended or expired."""
        await self._stay_fresh()
        digest = self._digest(cookie)
        if digest is None:
            return None
        cached = self._sessions.get(digest)
        if cached is None or self._is_old(cached):
            cached = await self._read_session(digest)
        web, now = cached.session, self._clock()
        if web is None or web.expires_at <= now:
            return None
        if now - web.seen_at >= SEEN_EVERY_S:
            self._sessions.pop(digest, None)
            self._start(self._database.write(partial(extend_session, web=web, now=now)))
        return web

    async def refresh(self) -> None:
        """Read what changed, now. Raises Unavailable when the database does not answer."""
        self._refreshes += 1
        number, begun = self._refreshes, self._ticks()
        known = self._table.revision if self._table else None
        table = await self._database.read(partial(_changed_table, since=known))
        if number < self._applied:
            # A look that began later was faster.
            return
        self._applied, self._refreshed_at = number, begun
        if table is not None:
            self._apply(table)

    async def finish(self) -> None:
        """Wait for everything that is being noted; nothing of it fails here."""
        await asyncio.gather(*self._background, return_exceptions=True)

    async def _stay_fresh(self) -> None:
        age = self._ticks() - self._refreshed_at
        if age < LOOK_EVERY_S:
            return
        task = self._begin_refresh()
        if self._table is None:
            await asyncio.shield(task)
        elif age >= LOOK_FIRST_S and self._ticks() >= self._patient_from:
            await self._wait_for(task)

    def _begin_refresh(self) -> "asyncio.Task[None]":
        """One look at a time, however many ask for it."""
        if self._refresh_task is None or self._refresh_task.done():
            self._refresh_task = self._start(self.refresh())
        return self._refresh_task

    async def _wait_for(self, task: "asyncio.Task[None]") -> bool:
        """Whether the look has succeeded within a while: a database that is down must not hold up
        every request.
        """
        done, _ = await asyncio.wait({task}, timeout=PATIENCE_S)
        has_refreshed = bool(done) and task.exception() is None
        if not has_refreshed:
            self._patient_from = self._ticks() + LOOK_EVERY_S
        return has_refreshed

    def _start(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._background.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Unavailable | SQLAlchemyError):
            logger.warning("credentials could not be read or recorded: %s", error)
        elif error is not None:
            logger.error("reading credentials failed", exc_info=error)

    def _find(self, digest: bytes) -> CachedToken | None:
        """Found by digest, which tells nothing of a token by its time; then compared in constant
        time.
        """
        assert self._table is not None
        known = self._table.tokens.get(digest)
        if known is None or not hmac.compare_digest(known.digest, digest):
            return None
        is_over = known.expires_at is not None and known.expires_at <= self._clock()
        return None if is_over else known

    def _note_use(self, known: CachedToken) -> None:
        now = self._clock()
        if now - known.used_at >= USED_EVERY_S:
            known.used_at = now
            self._start(self._database.write(partial(record_use, token_id=known.row_id, now=now)))

    def _apply(self, table: CredentialTable) -> None:
        before = self._table.tokens if self._table else {}
        for digest, known in table.tokens.items():
            if digest in before:
                known.used_at = max(known.used_at, before[digest].used_at)
        self._table = table
        self._sessions.clear()

    def _digest(self, cookie: str) -> str | None:
        assert self._table is not None
        secret = self._table.secret
        return None if secret is None else digest_of(cookie, secret)

    def _is_old(self, cached: CachedSession) -> bool:
        if cached.session is not None and cached.session.expires_at <= self._clock():
            # Another replica may have seen the browser since.
            return True
        return self._ticks() - cached.read_at >= SESSION_CACHE_S

    async def _read_session(self, digest: str) -> CachedSession:
        begun = self._applied
        web = await self._database.read(partial(find_session, digest=digest))
        cached = CachedSession(web, self._ticks())
        if len(self._sessions) >= MOST_SESSIONS:
            self._sessions.clear()
        if begun == self._applied:
            self._sessions[digest] = cached
        return cached


def _changed_table(session: Session, since: object) -> CredentialTable | None:
    """The table, or None when its revision is still `since`."""
    revision = revision_of(session, REVISION)
    if revision == since:
        return None
    tokens = (_known(row) for row in all_tokens(session))
    return CredentialTable(
        revision,
        secret_in(session),
        {known.digest: known for known in tokens},
        revoked_digests(session),
    )


def _known(row: TokenRow) -> CachedToken:
    digest = bytes.fromhex(row.digest)
    return CachedToken(
        row_id=row.id,
        digest=digest,
        principal=Principal(
            row.owner,
            scopes_of(row.scopes),
            token_id=row.digest[:12],
            expires_at=row.expires_at,
            token_number=row.id,
            budget=stored_budget(row.budget),
        ),
        expires_at=row.expires_at,
        used_at=row.last_used or 0.0,
    )
