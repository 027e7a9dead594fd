"""Who waits for a job: clients that leave or come back, and jobs that nobody waits for any more."""

from collections.abc import Callable

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from serve_app.database.connection import Database
from serve_app.database.schema import JobRow
from serve_app.jobs.changes import locked, stop
from serve_app.jobs.records import is_final

RETURN_S = 30.0
"""How long a job goes on whose caller may come back. SDKs wait at most 8 s before they do; an
ingress that was killed may take twenty to be there for them.
"""


class Callers:
    """The table of jobs, seen from those who wait. `clock` gives unix seconds."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._started_at = clock()

    async def leave(self, job_id: str, *, may_return: bool) -> None:
        """The caller no longer waits. The job is stopped now, or when nobody has come back for
        `RETURN_S`. A job that has ended, or that a call without waiting started, is left alone.
        """

        def work(session: Session) -> None:
            row = locked(session, job_id)
            if row is not None and row.is_awaited and not is_final(row):
                row.left_at = self._clock()
                if not may_return:
                    stop(session, row, now=row.left_at)

        await self._database.write(work)

    async def stay(self, job_id: str) -> None:
        """Somebody waits for the job still: another one of several callers has left."""

        def work(session: Session) -> None:
            row = locked(session, job_id)
            if row is not None and not (is_final(row) or row.cancel_requested):
                row.left_at = None

        await self._database.write(work)

    def has_abandoned(self, session: Session) -> bool:
        """Whether there are jobs that nobody has come back for. Nobody could while no process ran
        jobs, so that a process which has just started gives every caller the whole time.
        """
        if self._clock() - RETURN_S <= self._started_at:
            return False
        ids = self._abandoned().with_only_columns(JobRow.id).limit(1)
        return session.scalar(ids) is not None

    async def stop_abandoned(self) -> None:
        """Stop those."""

        def work(session: Session) -> None:
            for row in session.scalars(self._abandoned().with_for_update()):
                stop(session, row, now=self._clock())

        await self._database.write(work)

    def _abandoned(self) -> Select[JobRow]:
        return select(JobRow).where(
            JobRow.status.in_(("queued", "running")),
            JobRow.left_at < self._clock() - RETURN_S,
            JobRow.cancel_requested.is_(False),
        )
