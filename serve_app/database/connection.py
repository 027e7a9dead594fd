"""`Database`: transactions on SQLite or Postgres, off the event loop, repeated when they can be."""

import asyncio
import logging
import os
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from serve_app.core.errors import BackendUnavailable, Unavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")
THREADS = 4
BUSY_MS = 2_000
PATIENCE_S = 20.0
PAUSES_S = (0.05, 0.5)


class Database:
    """Where the tables are. `url` is SQLAlchemy's; `postgresql://` means psycopg 3.

    Every method runs a whole transaction, so that it can be repeated: a locked or unreachable
    database is tried again for `patience_s`, then Unavailable is raised. A full disk is
    BackendUnavailable at once.
    """

    def __init__(self, url: str, *, patience_s: float = PATIENCE_S) -> None:
        self.url = with_driver(url)
        self.is_sqlite = make_url(self.url).get_backend_name() == "sqlite"
        self.engine = _engine(self.url, is_sqlite=self.is_sqlite)
        self._patience_s = patience_s
        self._is_closed = False
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="database")

    async def write(self, work: Callable[[Session], T]) -> T:
        """What `work` returns, committed. It may run several times; only one run stays."""
        return await self._in_thread(partial(self._transaction, work, is_writing=True))

    async def read(self, work: Callable[[Session], T]) -> T:
        """What `work` returns. On SQLite it waits for no writer."""
        return await self._in_thread(partial(self._transaction, work, is_writing=False))

    def write_now(self, work: Callable[[Session], T]) -> T:
        """`write` in the caller's thread. Blocks."""
        return self._repeated(partial(self._transaction, work, is_writing=True), time.monotonic())

    def read_now(self, work: Callable[[Session], T]) -> T:
        """`read` in the caller's thread. Blocks."""
        return self._repeated(partial(self._transaction, work, is_writing=False), time.monotonic())

    def close(self, *, wait: bool = False) -> None:
        """Give the connections back; nothing is tried again any more. May be called twice. Without
        `wait`, transactions that are under way end later.
        """
        self._is_closed = True
        self._threads.shutdown(wait=wait)
        self.engine.dispose()

    def _transaction(self, work: Callable[[Session], T], *, is_writing: bool) -> T:
        options = {"writes": is_writing}
        with (
            self.engine.connect().execution_options(**options) as connection,
            Session(connection, expire_on_commit=False) as session,
            session.begin(),
        ):
            return work(session)

    async def _in_thread(self, transaction: Callable[[], T]) -> T:
        """Waiting for a thread is part of the patience, or those in line would add theirs up."""
        work = partial(self._repeated, transaction, time.monotonic())
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _repeated(self, transaction: Callable[[], T], begun: float) -> T:
        while True:
            try:
                return transaction()
            except DBAPIError as error:
                if _is_full(error):
                    raise BackendUnavailable(
                        "the disk of the database is full, and nothing was changed",
                        remedy="free space on it or enlarge it",
                    ) from error
                if self._is_closed or not _may_pass(error):
                    raise
                if time.monotonic() - begun > self._patience_s:
                    raise _away() from error
                logger.warning("the database does not respond (%s); trying again", error.orig)
            time.sleep(random.uniform(*PAUSES_S))


def with_driver(url: str) -> str:
    """The URL with the driver that is installed."""
    parsed = make_url(url)
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed.render_as_string(hide_password=False)


def _engine(url: str, *, is_sqlite: bool) -> Engine:
    if not is_sqlite:
        return create_engine(
            url, pool_size=THREADS, pool_pre_ping=True, connect_args={"connect_timeout": 5}
        )
    engine = create_engine(url, connect_args={"timeout": BUSY_MS / 1000})
    event.listen(engine, "do_connect", _close_to_others)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _close_to_others(
    _dialect: object, _record: object, arguments: list[str], _options: object
) -> None:
    """Make the file, which SQLite would make readable to everybody on the machine. What stands
    beside it gets its mode.
    """
    if arguments[0] == ":memory:":
        return
    with suppress(OSError):
        os.close(os.open(arguments[0], os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver would begin transactions by itself, too late for the statement that reads first.
    connection.isolation_level = None
    for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {setting}")


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes the lock at once: one that read first could not wait for it later."""
    writes = connection.get_execution_options().get("writes", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _is_full(error: DBAPIError) -> bool:
    """Whether the database found no room on its disk."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    return code == sqlite3.SQLITE_FULL or getattr(error.orig, "sqlstate", None) == "53100"


@contextmanager
def away_as_unavailable() -> Iterator[None]:
    """Within it, the error of a driver whose database is away is Unavailable. For what is no
    transaction of a Database, and not tried again here.
    """
    try:
        yield
    except DBAPIError as error:
        if not _may_pass(error):
            raise
        raise _away() from error


def _away() -> Unavailable:
    return Unavailable(
        "the database does not respond", remedy="nothing was changed", retry_after_s=5
    )


def _may_pass(error: DBAPIError) -> bool:
    """Whether the same transaction can succeed later: locks, lost connections, conflicts."""
    if isinstance(error, IntegrityError):
        return False
    if error.connection_invalidated:
        return True
    code = getattr(error.orig, "sqlstate", None)
    if code is not None:
        return code[:2] in ("08", "40", "53", "55", "57")
    text = str(error.orig).lower()
    return any(sign in text for sign in ("locked", "busy", "connection", "unable to open"))
