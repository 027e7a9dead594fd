"""Text operations that run for a caller who waits: seen as jobs, kept in memory while they run.

One that outlives its caller's limit becomes a durable job of the same id. Of one that has ended
it is recorded how, but neither what was asked for nor what was answered.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TypeVar, cast

from serve_app.core.errors import AppError, Cancelled, Conflict, StillRunning
from serve_app.core.jobs import JOB_PREFIX, Job, JobRunner, Submission
from serve_app.jobs.direct_outbox import MOST_WAITING, SHOWN_AFTER_S, DirectOutbox
from serve_app.jobs.direct_records import DirectRun, ended_record, recorded_job, running_job
from serve_app.jobs.direct_table import DirectWriter
from serve_app.runtime.limits import LimitPassed, within
from serve_app.runtime.random_ids import random_hex
from serve_app.runtime.streams import closing
from serve_app.runtime.unexpected import unexpected_errors

T = TypeVar("T")
_END = object()
EXPLAINED: AbstractContextManager[None] = nullcontext()


def new_job_id() -> str:
    """An id that nobody can guess."""
    return f"{JOB_PREFIX}{random_hex(12)}"


class DirectJobs:
    """Those of one process. Others find them in `table`: ended ones half a second later, and those
    that run for longer than `shown_after_s`. Of what is not written there yet, `remembered` are
    kept.
    """

    def __init__(
        self,
        jobs: JobRunner,
        table: DirectWriter,
        *,
        remembered: int = MOST_WAITING,
        shown_after_s: float = SHOWN_AFTER_S,
    ) -> None:
        self._jobs = jobs
        self._runs: dict[str, DirectRun] = {}
        self._outbox = DirectOutbox(
            table,
            self._runs,
            self.cancel,
            most_waiting=remembered,
            shown_after_s=shown_after_s,
        )

    async def run(
        self, submission: Submission, work: Callable[[], Awaitable[T]], *, timeout_s: float
    ) -> T:
        """The work's result. StillRunning when the limit passes: a job begins it again."""
        with self._running(submission) as run:
            try:
                try:
                    async with within(timeout_s):
                        with unexpected_errors(repr(submission.operation.name)):
                            return await work()
                except LimitPassed:
                    await self._go_on(submission, run)
                    raise StillRunning(
                        f"this takes longer than {timeout_s:g} s",
                        remedy=f"job {submission.id!r} keeps running",
                        job_id=submission.id,
                    ) from None
            except asyncio.CancelledError:
                if run.is_cancelled:
                    raise _cancelled(submission.id) from None
                raise

    async def _go_on(self, submission: Submission, run: DirectRun) -> None:
        """Let a durable job begin it again; none that runs, if this is stopped meanwhile."""
        submitting = asyncio.create_task(self._jobs.submit(submission))
        try:
            await asyncio.shield(submitting)
        except asyncio.CancelledError:
            if run.is_cancelled:
                with suppress(AppError):
                    await submitting
                    await self._jobs.cancel(submission.id)
            submitting.cancel()
            raise

    async def watched(
        self,
        submission: Submission,
        items: AsyncIterator[T],
        *,
        note: Callable[[T], None] = lambda _: None,
        explained: AbstractContextManager[None] = EXPLAINED,
    ) -> AsyncGenerator[T]:
        """The items of a stream, which is a job while it lasts. Closing the result closes them.
        `note` is told of each item; what the stream raises goes through `explained`.
        """
        name = submission.operation.name
        async with closing(items):
            with explained, self._running(submission) as run:
                while True:
                    run.task = asyncio.current_task()
                    try:
                        with unexpected_errors(repr(name)):
                            item = await anext(items, _END)
                    except asyncio.CancelledError:
                        if run.is_cancelled:
                            raise _cancelled(submission.id) from None
                        raise
                    finally:
                        run.task = None
                    if run.is_cancelled:
                        raise _cancelled(submission.id)
                    if item is _END:
                        return
                    note(cast("T", item))
                    yield cast("T", item)

    def find(self, job_id: str, *, owner: str | None) -> Job | None:
        """A run as a job, under way or not written to the table yet; None when it is not here or
        another owner's. The job of one that has ended has no result: its caller was given it.
        """
        run = self._runs.get(job_id)
        if run is not None:
            return running_job(run) if owner in (None, run.submission.owner) else None
        ended = self._outbox.ended.get(job_id)
        if ended is None or owner not in (None, ended.owner):
            return None
        return recorded_job(job_id, ended)

    def all(self, written: Iterable[Job] = (), *, owner: str | None) -> list[Job]:
        """An owner's that are under way, newest first; None is everybody's. With those `written` to
        the table they are those of every process: of its own this one knows better.
        """
        runs = [run for run in self._runs.values() if owner in (None, run.submission.owner)]
        own = self._runs.keys() | self._outbox.ended.keys()
        others = [job for job in written if job.id not in own]
        return sorted(
            [*(running_job(run) for run in reversed(runs)), *others],
            key=lambda job: job.created_at,
            reverse=True,
        )

    def cancel(self, job_id: str) -> Job:
        """Stop it. Conflict when it has just ended."""
        run = self._runs.get(job_id)
        if run is None:
            raise Conflict(f"job {job_id!r} has ended and cannot be cancelled")
        run.is_cancelled = True
        # A stream whose client reads slowly has no task now; it notices when it goes on.
        if run.task is not None:
            run.task.cancel()
        return running_job(run).model_copy(update={"status": "cancelled"})

    async def flush(self) -> None:
        """Write what is not in the table yet, as far as the database can be reached."""
        await self._outbox.flush()

    @contextmanager
    def _running(self, submission: Submission) -> Iterator[DirectRun]:
        run = DirectRun(submission, time.time(), asyncio.current_task())
        self._runs[submission.id] = run
        self._outbox.wake()
        try:
            yield run
        except BaseException as error:
            self._end(run, error)
            raise
        else:
            self._end(run, None)

    def _end(self, run: DirectRun, error: BaseException | None) -> None:
        del self._runs[run.submission.id]
        if isinstance(error, StillRunning):
            # It goes on as a durable job.
            return
        self._outbox.put(run.submission.id, ended_record(run, error))


def _cancelled(job_id: str) -> Cancelled:
    return Cancelled("the job was cancelled", job_id=job_id)
