"""What is asked of running jobs whose results come in pieces, and the pieces that are there.

Both are in the job's row: they outlive the process that runs the job, and any other may ask.
"""

from collections.abc import Callable
from typing import Any, cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from serve_app.blobs.references import hold
from serve_app.core.early_end import EarlyEnd, EndsEarly
from serve_app.core.errors import Conflict, UnsupportedCapability
from serve_app.core.jobs import Job
from serve_app.core.message import Message
from serve_app.core.operations import Unreadable, blobs_of, read_operation, read_result, to_json
from serve_app.database.connection import Database
from serve_app.database.schema import JobRow
from serve_app.jobs.changes import end, locked, stages_holder
from serve_app.jobs.direct_rows import direct_job
from serve_app.jobs.reader import unknown
from serve_app.jobs.records import is_final, to_job


class EarlyEnds:
    """The table of jobs, seen from those who want no more of a result. `clock` gives unix
    seconds.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    async def ask(self, job_id: str, what: EarlyEnd) -> Job:
        """As JobRunner's `finish` and `skip`. A job that waits is finished at once, with nothing,
        and has no piece to skip.
        """

        def work(session: Session) -> Job:
            row = locked(session, job_id)
            if row is None:
                if direct_job(session, job_id) is None:
                    raise unknown(job_id)
                raise _indivisible(job_id)
            if is_final(row):
                raise Conflict(f"job {row.id!r} is {row.status} and cannot end any earlier")
            operation = _in_pieces(row)
            if row.status == "queued":
                if what == "finish":
                    end(session, row, "succeeded", now=self._clock())
                    row.result = to_json(operation.ended_with(None))
            elif row.asked_for != "finish":
                row.asked_for = what
                row.revision += 1
            session.flush()
            return to_job(session, row)

        return await self._database.write(work)

    async def keep(
        self, job_id: str, executor: str, made: Message, *, answered: EarlyEnd | None
    ) -> None:
        """The pieces that are there, and, at once, that what was asked for is done. What comes too
        late is dropped.
        """

        def work(session: Session) -> None:
            row = locked(session, job_id)
            if row is None or row.status != "running" or row.executor != executor:
                return
            row.partial = to_json(made)
            hold(session, stages_holder(row.id), blobs_of(made))
            if answered is not None and row.asked_for == answered:
                row.asked_for = None
                row.revision += 1

        await self._database.write(work)

    async def made(self, job_id: str) -> Message | None:
        """The pieces that an earlier run of the job has left."""

        def work(session: Session) -> Message | None:
            row = session.scalar(select(JobRow).where(JobRow.id == job_id))
            if row is None or row.partial is None:
                return None
            found = read_result(row.operation, row.partial)
            return None if isinstance(found, Unreadable) else found

        return await self._database.read(work)


def _in_pieces(row: JobRow) -> EndsEarly[Any]:
    operation = read_operation(row.operation, row.request)
    if not isinstance(operation, EndsEarly) or not operation.can_end_early:
        raise _indivisible(row.id)
    return cast("EndsEarly[Any]", operation)


def _indivisible(job_id: str) -> UnsupportedCapability:
    return UnsupportedCapability(
        f"job {job_id!r} has no result before it has all of it",
        remedy="cancel it instead",
        param="id",
    )
