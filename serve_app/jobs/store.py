"""`JobStore`: every change of a job's state is one transaction with one outcome.

`queued → running → succeeded | failed | cancelled`; a change that comes too late changes nothing.
A running job without an executor has lost its process and is the first to be claimed again.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from serve_app.blobs.references import UnheldBlob, discard, hold, release
from serve_app.core.amounts import Amounts, Ran
from serve_app.core.errors import Conflict, QueueFull
from serve_app.core.jobs import (
    Failure,
    Job,
    JobProgress,
    JobStatus,
    StageState,
    Submission,
)
from serve_app.core.media import Blob
from serve_app.core.message import Message
from serve_app.core.notices import Notice
from serve_app.core.operations import blobs_of, to_json
from serve_app.database.connection import Database
from serve_app.database.schema import JobRow
from serve_app.jobs.callers import Callers
from serve_app.jobs.changes import end, holder, locked, stages_holder, start, stop
from serve_app.jobs.direct_rows import forget_direct_job, stop_direct_job
from serve_app.jobs.early_ends import EarlyEnds
from serve_app.jobs.queue_lock import load, lock_queue
from serve_app.jobs.reader import JobReader, unknown
from serve_app.jobs.records import charged, is_final, new_row, to_job
from serve_app.jobs.repetition import job_joined
from serve_app.metering.usage_table import add_usage

RETRY_AFTER_S = 5
MOST_ATTEMPTS = 10
NOTHING: Mapping[Ran, Amounts] = {}
_DEADLY = Failure(
    kind="InternalError",
    message=f"the process that ran this job died {MOST_ATTEMPTS} times",
    remedy="it is not tried again",
    code="internal_error",
)


@dataclass(frozen=True)
class JobReport:
    """What an executor knows of a running job; `warnings` are all of them, oldest first."""

    progress: JobProgress
    stages: tuple[StageState, ...] = ()
    warnings: tuple[Notice, ...] = ()


class JobStore(JobReader):
    """The table of jobs. `clock` gives unix seconds."""

    def __init__(
        self, database: Database, blobs_url: str, *, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(database)
        self._blobs_url = blobs_url
        self._clock = clock
        self.callers = Callers(database, clock)
        self.early_ends = EarlyEnds(database, clock)

    async def add(
        self,
        submission: Submission,
        *,
        queue: str,
        capacity: int,
        max_pending: int,
        executor: str,
    ) -> tuple[Job, bool]:
        """The new job, and whether `executor` is to run it at once: when the queue has room.

        Adding the same id again, or a call that is a repetition, gives the job that is there.
        """

        def work(session: Session) -> tuple[Job, bool]:
            known = session.scalar(select(JobRow).where(JobRow.id == submission.id))
            if known is not None:
                return to_job(session, known), False
            lock_queue(session, queue)
            joined = job_joined(session, submission)
            if joined is not None:
                return to_job(session, joined), False
            running, waiting = load(session, queue)
            row = new_row(submission, queue=queue, now=self._clock())
            starts = running < capacity and waiting == 0
            if starts:
                start(row, executor, now=self._clock())
            else:
                _check_room(queue, waiting, max_pending)
            session.add(row)
            session.flush()
            hold(session, holder(row.id), blobs_of(submission.operation))
            return to_job(session, row), starts

        try:
            return await self.database.write(work)
        except IntegrityError:
            # Another process added the same id, ref_id or key in the same instant.
            return await self.database.write(work)

    async def claim(self, queue: str, *, capacity: int, executor: str) -> tuple[str, ...]:
        """The ids that `executor` is to run now: lost ones first, then those waiting, in order, as
        far as there is room.
        """

        def work(session: Session) -> tuple[str, ...]:
            lock_queue(session, queue)
            mine = [JobRow.queue == queue]
            lost = session.scalars(
                select(JobRow)
                .where(*mine, JobRow.status == "running", JobRow.executor.is_(None))
                .order_by(JobRow.number)
            ).all()
            running, _ = load(session, queue)
            waiting = session.scalars(
                select(JobRow)
                .where(*mine, JobRow.status == "queued")
                .order_by(JobRow.priority.desc(), JobRow.number)
                .limit(max(0, capacity - running))
            ).all()
            starting = []
            for row in (*lost, *waiting):
                if row.attempts >= MOST_ATTEMPTS:
                    end(session, row, "failed", now=self._clock())
                    row.error = to_json(_DEADLY)
                else:
                    start(row, executor, now=self._clock())
                    starting.append(row.id)
            return tuple(starting)

        return await self.database.write(work)

    async def take(self, job_id: str, executor: str) -> Job | None:
        """The job, now `executor`'s; None when it is not running any more."""

        def work(session: Session) -> Job | None:
            row = locked(session, job_id)
            if row is None or row.status != "running":
                return None
            row.executor = executor
            return to_job(session, row)

        return await self.database.write(work)

    async def finish(
        self,
        job_id: str,
        executor: str | None,
        status: JobStatus,
        *,
        report: JobReport,
        result: Message | None = None,
        files: Mapping[str, str] | None = None,
        failure: Failure | None = None,
        used: Mapping[Ran, Amounts] = NOTHING,
    ) -> Job | None:
        """End a job that `executor` runs; None, and no change, when somebody else has ended or
        taken it. `files` are the public names of the result's blobs, by hash. What models have
        `used` is charged in the same transaction, and so once, to whoever has submitted it.
        """

        def work(session: Session) -> Job | None:
            row = locked(session, job_id)
            if row is None or is_final(row) or row.executor != executor:
                return None
            end(session, row, status, now=self._clock())
            row.result = None if result is None else to_json(result)
            row.files = dict(files or {})
            row.error = None if failure is None else to_json(failure)
            hold(session, holder(row.id), blobs_of(result))
            _write_report(row, report)
            session.flush()
            add_usage(session, charged(row, used, now=self._clock()))
            return to_job(session, row)

        return await self.database.write(work)

    async def request_cancel(self, job_id: str) -> Job:
        """End a queued job; ask the process of a running one to stop. Conflict when finished."""

        def work(session: Session) -> Job:
            row = locked(session, job_id)
            if row is None:
                direct = stop_direct_job(session, job_id)
                if direct is None:
                    raise unknown(job_id)
                return direct
            if is_final(row):
                raise Conflict(f"job {row.id!r} is {row.status} and cannot be cancelled")
            stop(session, row, now=self._clock())
            session.flush()
            return to_job(session, row)

        return await self.database.write(work)

    async def hold_made(self, job_id: str, blobs: Sequence[Blob]) -> None:
        """Keep what a running job's stages have made until it ends; later there is no need to."""

        def work(session: Session) -> None:
            row = locked(session, job_id)
            if row is not None and row.status == "running":
                hold(session, stages_holder(row.id), blobs)

        await self.database.write(work)

    async def report(self, job_id: str, executor: str, report: JobReport) -> None:
        """What the executor knows of a running job; what comes too late is dropped."""

        def work(session: Session) -> None:
            row = locked(session, job_id)
            if row is None or row.status != "running" or row.executor != executor:
                return
            row.revision += 1
            _write_report(row, report)

        await self.database.write(work)

    async def release(self, executor: str, job_id: str | None = None) -> int:
        """Take a dead executor's jobs from it, or one that it lost, so that they are claimed again;
        their number.
        """

        def work(session: Session) -> int:
            lost = update(JobRow).where(JobRow.executor == executor, JobRow.status == "running")
            if job_id is not None:
                lost = lost.where(JobRow.id == job_id)
            return int(session.execute(lost.values(executor=None)).rowcount)  # type: ignore[attr-defined]

        return await self.database.write(work)

    async def forget_finished(self, before: float, *, limit: int = 100) -> tuple[str, ...]:
        """Delete jobs that finished before then; their ids. What only they held goes with them."""

        def work(session: Session) -> tuple[tuple[str, ...], list[UnheldBlob]]:
            # A callback that is still due keeps its job.
            old = select(JobRow).where(
                JobRow.finished_at < before, JobRow.callback_due_at.is_(None)
            )
            mine = old.limit(limit).with_for_update(skip_locked=True)
            rows = session.scalars(mine).all()
            unheld = [one for row in rows for one in release(session, holder(row.id))]
            for row in rows:
                session.delete(row)
            return tuple(row.id for row in rows), unheld

        ids, unheld = await self.database.write(work)
        await discard(self.database, self._blobs_url, unheld)
        return ids

    async def delete(self, job_id: str) -> None:
        """Forget a finished job, and what only it holds. Conflict while it is not finished."""

        def work(session: Session) -> list[UnheldBlob]:
            row = locked(session, job_id)
            if row is None:
                if not forget_direct_job(session, job_id):
                    raise unknown(job_id)
                return []
            if not is_final(row):
                raise Conflict(f"job {row.id!r} is {row.status}", remedy="cancel it first")
            unheld = release(session, holder(row.id))
            session.delete(row)
            return unheld

        await discard(self.database, self._blobs_url, await self.database.write(work))


def _write_report(row: JobRow, report: JobReport) -> None:
    row.progress = to_json(report.progress)
    row.stages = [to_json(stage) for stage in report.stages]
    new = report.warnings[len(row.warnings) :]
    added = [to_json(notice) | {"revision": row.revision} for notice in new]
    row.warnings = [*row.warnings, *added]


def _check_room(queue: str, waiting: int, most: int) -> None:
    if waiting >= most:
        raise QueueFull(
            f"{waiting} jobs already wait for {queue!r}",
            remedy="try again later",
            retry_after_s=RETRY_AFTER_S,
        )
