"""Which processes run jobs, and which of them have died.

A process on the same host is dead when the kernel says so; one elsewhere when its lease was looked
at for `LEASE_S` without having been renewed. That is counted by the clock of who looks, because
clocks of machines differ, and anew after a pause in which nobody could look or renew.
"""

import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from serve_app.database.connection import Database
from serve_app.database.schema import ExecutorRow

LEASE_S = 20.0
LONGEST_PAUSE_S = 10.0
"""Between two looks; executors renew twice as often."""


@dataclass(frozen=True)
class Lease:
    """An executor's last renewal by its own clock, and since when ours has seen it."""

    seen_at: float
    since: float


class Leases:
    """The table of executors, seen by one of them."""

    def __init__(
        self,
        database: Database,
        executor: str,
        *,
        host: str | None = None,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ticks = ticks
        self._host = host or socket.gethostname()
        self._known: dict[str, Lease] = {}
        self._checked_at = ticks()
        self.executor = executor

    async def renew(self) -> None:
        """Say that this executor lives."""

        def work(session: Session) -> None:
            row = session.get(ExecutorRow, self.executor)
            if row is None:
                row = ExecutorRow(id=self.executor, host=self._host, process=process_name())
                session.add(row)
            row.seen_at = self._clock()

        await self._database.write(work)

    async def dead(self) -> tuple[str, ...]:
        """The executors that will not finish what they began. To be asked again and again."""
        return self.dead_among(await self._database.read(self.others))

    def others(self, session: Session) -> Sequence[ExecutorRow]:
        """All executors but this one."""
        return session.scalars(select(ExecutorRow).where(ExecutorRow.id != self.executor)).all()

    def dead_among(self, rows: Sequence[ExecutorRow]) -> tuple[str, ...]:
        """Those of the others, which were read just now, that are dead."""
        now = self._ticks()
        known = self._known if now - self._checked_at < LONGEST_PAUSE_S else {}
        self._checked_at = now
        self._known = {row.id: _lease(row, known.get(row.id), now) for row in rows}
        return tuple(row.id for row in rows if self._is_dead(row, now))

    async def forget(self, executor: str) -> None:
        """Remove an executor whose jobs have been released."""

        def work(session: Session) -> None:
            session.execute(delete(ExecutorRow).where(ExecutorRow.id == executor))

        await self._database.write(work)

    def _is_dead(self, row: ExecutorRow, now: float) -> bool:
        if row.host == self._host:
            return not is_alive(row.process)
        return now - self._known[row.id].since >= LEASE_S


def _lease(row: ExecutorRow, known: Lease | None, now: float) -> Lease:
    return known if known and known.seen_at == row.seen_at else Lease(row.seen_at, now)


def process_name(pid: int | None = None) -> str:
    """The process's number and start time, which together are never used twice."""
    number = os.getpid() if pid is None else pid
    return f"{number}:{_start_time(number)}"


def is_alive(process: str) -> bool:
    """Whether the process of this name still runs on this host."""
    number = int(process.partition(":")[0])
    return process_name(number) == process and _start_time(number) != "gone"


def _start_time(pid: int) -> str:
    """In clock ticks since boot, as Linux tells it; elsewhere only whether the process exists."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "alive" if _exists(pid) and not Path("/proc/self/stat").exists() else "gone"
    return "gone" if fields[0] == "Z" else fields[19]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
