"""Text operations that run for a caller who waits: seen as jobs, kept in memory only.

One that outlives its caller's limit becomes a durable job of the same id. Of one that has ended
it is remembered for a while how, but neither what was asked for nor what was answered.
"""

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from serve_app.core.errors import AppError, Cancelled, Conflict, StillRunning
from serve_app.core.jobs import (
    JOB_PREFIX,
    Failure,
    Job,
    JobProgress,
    JobRunner,
    JobStatus,
    Submission,
    failure_of,
)
from serve_app.core.operations import Unreadable
from serve_app.runtime.limits import LimitPassed, within
from serve_app.runtime.streams import closing
from serve_app.runtime.unexpected import unexpected_errors

T = TypeVar("T")
_END = object()
REMEMBERED = 1000
"""Runs that have ended; the oldest is forgotten first."""
EXPLAINED: AbstractContextManager[None] = nullcontext()


def new_job_id() -> str:
    """An id that nobody can guess."""
    return f"{JOB_PREFIX}{secrets.token_hex(12)}"


@dataclass
class DirectRun:
    """One of them."""

    submission: Submission
    began_at: float
    task: "asyncio.Task[object] | None"
    is_cancelled: bool = False


@dataclass(slots=True)
class EndedRun:
    """What is remembered of one: a few hundred bytes."""

    operation_name: str
    model: str | None
    owner: str
    dialect: str
    ref_id: str | None
    tag: str | None
    began_at: float
    ended_at: float
    status: JobStatus
    failure: Failure | None


class DirectJobs:
    """Those of one process; other replicas of the ingress do not see them."""

    def __init__(self, jobs: JobRunner, *, remembered: int = REMEMBERED) -> None:
        self._jobs = jobs
        self._runs: dict[str, DirectRun] = {}
        # The first of a plain dict is found the slower, the more have been taken from its front.
        self._ended: OrderedDict[str, EndedRun] = OrderedDict()
        self._remembered = remembered

    async def run(
        self, submission: Submission, work: Callable[[], Awaitable[T]], *, timeout_s: float
    ) -> T:
        """The work's result. StillRunning when the limit passes: a job begins it again."""
        with self._running(submission) as run:
            try:
                async with within(timeout_s):
                    with unexpected_errors(repr(submission.operation.name)):
                        return await work()
            except LimitPassed:
                await self._jobs.submit(submission)
                raise StillRunning(
                    f"this takes longer than {timeout_s:g} s; job {submission.id!r} keeps running",
                    job_id=submission.id,
                ) from None
            except asyncio.CancelledError:
                if run.is_cancelled:
                    raise _cancelled(submission.id) from None
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
        """A run as a job, under way or ended not long ago; None when it is not here or another
        owner's. The job of one that has ended has no result: its caller was given it.
        """
        run = self._runs.get(job_id)
        if run is not None:
            return _job(run) if owner in (None, run.submission.owner) else None
        ended = self._ended.get(job_id)
        if ended is None or owner not in (None, ended.owner):
            return None
        return _ended_job(job_id, ended)

    def all(self, *, owner: str | None) -> list[Job]:
        """An owner's that are under way, newest first; None is everybody's."""
        runs = [run for run in self._runs.values() if owner in (None, run.submission.owner)]
        return [_job(run) for run in reversed(runs)]

    def cancel(self, job_id: str) -> Job:
        """Stop it. Conflict when it has just ended."""
        run = self._runs.get(job_id)
        if run is None:
            raise Conflict(f"job {job_id!r} is finished; nothing is left to cancel")
        run.is_cancelled = True
        # A stream whose client reads slowly has no task now; it notices when it goes on.
        if run.task is not None:
            run.task.cancel()
        return _job(run).model_copy(update={"status": "cancelled"})

    @contextmanager
    def _running(self, submission: Submission) -> Iterator[DirectRun]:
        run = DirectRun(submission, time.time(), asyncio.current_task())
        self._runs[submission.id] = run
        error: BaseException | None = None
        try:
            yield run
        except BaseException as raised:
            error = raised
            raise
        finally:
            del self._runs[submission.id]
            # One that goes on is a durable job now.
            if not isinstance(error, StillRunning):
                self._remember(run, error)

    def _remember(self, run: DirectRun, error: BaseException | None) -> None:
        self._ended[run.submission.id] = _ended_run(run, error)
        if len(self._ended) > self._remembered:
            self._ended.popitem(last=False)


def _cancelled(job_id: str) -> Cancelled:
    return Cancelled("the job was cancelled", job_id=job_id)


def _ended_run(run: DirectRun, error: BaseException | None) -> EndedRun:
    """Whoever leaves, or closes a stream before its end, has cancelled it."""
    asked = run.submission
    failure: Failure | None = None
    status: JobStatus = "succeeded" if error is None else "cancelled"
    if isinstance(error, AppError) and not isinstance(error, Cancelled):
        status, failure = "failed", failure_of(error)
    return EndedRun(
        operation_name=asked.operation.name,
        model=asked.operation.model_name,
        owner=asked.owner,
        dialect=asked.dialect,
        ref_id=asked.ref_id,
        tag=asked.tag,
        began_at=run.began_at,
        ended_at=time.time(),
        status=status,
        failure=failure,
    )


def _job(run: DirectRun) -> Job:
    asked = run.submission
    return Job(
        id=asked.id,
        operation_name=asked.operation.name,
        operation=asked.operation,
        dialect=asked.dialect,
        output=asked.output,
        owner=asked.owner,
        ref_id=asked.ref_id,
        tag=asked.tag,
        model=asked.operation.model_name,
        status="running",
        created_at=run.began_at,
        started_at=run.began_at,
        finished_at=None,
        # Below that of the durable job which one that takes too long becomes.
        revision=0,
        failure=None,
        **NOT_IN_MEMORY,
    )


def _ended_job(job_id: str, run: EndedRun) -> Job:
    return Job(
        id=job_id,
        operation_name=run.operation_name,
        operation=Unreadable(),
        dialect=run.dialect,
        output={},
        owner=run.owner,
        ref_id=run.ref_id,
        tag=run.tag,
        model=run.model,
        status=run.status,
        created_at=run.began_at,
        started_at=run.began_at,
        finished_at=run.ended_at,
        revision=1,
        failure=run.failure,
        **NOT_IN_MEMORY,
    )


NOT_IN_MEMORY: dict[str, Any] = {
    "number": 0,
    "position": None,
    "progress": JobProgress(),
    "stages": (),
    "warnings": (),
    "result": None,
    "files": {},
    "callback_url": None,
}
"""What only durable jobs have."""
