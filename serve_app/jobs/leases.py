"""Which processes run jobs, and which of them have died.

A process on the same host is dead when the kernel says so; one elsewhere when it has not renewed
its lease for `LEASE_S`.
"""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from serve_app.database.connection import Database
from serve_app.database.schema import ExecutorRow

LEASE_S = 20.0


class Leases:
    """The table of executors, seen by one of them."""

    def __init__(
        self, database: Database, executor: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._clock = clock
        self._host = socket.gethostname()
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
        """The executors that will not finish what they began."""

        def work(session: Session) -> tuple[str, ...]:
            rows = session.scalars(select(ExecutorRow).where(ExecutorRow.id != self.executor))
            return tuple(row.id for row in rows if self._is_dead(row))

        return await self._database.read(work)

    async def forget(self, executor: str) -> None:
        """Remove an executor whose jobs have been released."""

        def work(session: Session) -> None:
            session.execute(delete(ExecutorRow).where(ExecutorRow.id == executor))

        await self._database.write(work)

    def _is_dead(self, row: ExecutorRow) -> bool:
        if row.host == self._host:
            return not is_alive(row.process)
        return row.seen_at < self._clock() - LEASE_S


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
