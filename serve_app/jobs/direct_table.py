"""The table of direct jobs, by which every process knows of those of the others. Only the process
that runs one writes its row, but for the wish that it be stopped.
"""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from sqlalchemy import Table, bindparam, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from typing_extensions import override

from serve_app.database.connection import Database
from serve_app.database.schema import DirectJobRow
from serve_app.jobs.direct_records import DirectRecord
from serve_app.jobs.direct_rows import end_values, new_values

KEPT = 100_000
"""Rows, of all owners together; they take about 30 MB."""
FORGET_EVERY = 1000
ROWS = cast("Table", DirectJobRow.__table__)
ENDS = ("status", "error", "ended_at", "seen_at")


def _insert(database: Any) -> Any:
    """A batch whose answer was lost is written again, maybe by another process, and the first may
    come later than the second: what has ended stays as it is.
    """
    new = database.insert(ROWS)
    return new.on_conflict_do_update(
        index_elements=["id"],
        set_={name: new.excluded[name] for name in ENDS},
        where=ROWS.c.ended_at.is_(None),
    )


INSERTS = {"sqlite": _insert(sqlite), "postgresql": _insert(postgresql)}


@dataclass(frozen=True)
class Batch:
    """What a process has to write: jobs that are `begun`, or have `ended` before they were; those
    `ended` of which there is a row, as there is of `going_on` and of `gone`, which are none any
    more. That some go on is to be written only if `is_due`.
    """

    begun: Mapping[str, DirectRecord]
    ended: Mapping[str, DirectRecord]
    gone: Collection[str]
    going_on: Collection[str]
    is_due: bool

    @property
    def is_writing(self) -> bool:
        """Whether the table is changed."""
        return bool(self.begun or self.ended or self.gone or (self.going_on and self.is_due))


class DirectWriter(Protocol):
    """What writes a process's rows."""

    async def write(self, batch: Batch) -> frozenset[str]:
        """Write a batch in one transaction; which of those that go on somebody wants to be
        stopped. The same batch may be written again.
        """
        ...


class DirectTable(DirectWriter):
    """Writes them from this process; `kept` is how many stay."""

    def __init__(self, database: Database, *, kept: int = KEPT) -> None:
        self._database = database
        self._kept = kept
        self._written = FORGET_EVERY

    @override
    async def write(self, batch: Batch) -> frozenset[str]:
        if not batch.is_writing:
            if not batch.going_on:
                return frozenset()
            return await self._database.read(lambda session: _unwanted(session, batch.going_on))
        forgets = self._written >= FORGET_EVERY

        def work(session: Session) -> frozenset[str]:
            _write(session, batch, now=time.time())
            if forgets:
                _forget_oldest(session, self._kept)
            return _unwanted(session, batch.going_on)

        unwanted = await self._database.write(work)
        self._written = (0 if forgets else self._written) + len(batch.begun)
        return unwanted

    async def forget_before(self, before: float, *, limit: int = 1000) -> int:
        """Delete rows that nobody has written since, at most `limit`; how many there were."""
        old = select(ROWS.c.number).where(ROWS.c.seen_at < before).limit(limit)

        def work(session: Session) -> int:
            numbers = session.scalars(old).all()
            session.execute(delete(ROWS).where(ROWS.c.number.in_(numbers)))
            return len(numbers)

        return await self._database.write(work)


def _write(session: Session, batch: Batch, *, now: float) -> None:
    if batch.begun:
        rows = [new_values(key, record, now) for key, record in batch.begun.items()]
        session.execute(INSERTS[session.get_bind().dialect.name], rows)
    if batch.ended:
        # The parameters of an update must not be called as the columns are.
        changes = {name: bindparam(f"new_{name}", type_=ROWS.c[name].type) for name in ENDS}
        ending = update(ROWS).where(ROWS.c.id == bindparam("key")).values(changes)
        session.execute(ending, [_end(key, each, now) for key, each in batch.ended.items()])
    if batch.gone:
        session.execute(delete(ROWS).where(ROWS.c.id.in_(batch.gone)))
    if batch.going_on and batch.is_due:
        session.execute(update(ROWS).where(ROWS.c.id.in_(batch.going_on)).values(seen_at=now))


def _end(job_id: str, record: DirectRecord, now: float) -> dict[str, Any]:
    values = end_values(record, now)
    return {"key": job_id} | {f"new_{name}": value for name, value in values.items()}


def _unwanted(session: Session, going_on: Collection[str]) -> frozenset[str]:
    if not going_on:
        return frozenset()
    unwanted = ROWS.c.id.in_(going_on) & ROWS.c.cancel_requested
    return frozenset(session.scalars(select(ROWS.c.id).where(unwanted)))


def _forget_oldest(session: Session, kept: int) -> None:
    newest = session.scalar(select(func.max(ROWS.c.number))) or 0
    session.execute(delete(ROWS).where(ROWS.c.number <= newest - kept))
