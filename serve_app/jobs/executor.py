"""`JobExecutor`: a JobRunner over the table of jobs.

It knows neither Ray nor how steps are recorded.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from typing_extensions import override

from serve_app.core.amounts import Amounts, Ran
from serve_app.core.early_end import EarlyEnd
from serve_app.core.errors import AppError, Cancelled, InternalError, StillRunning
from serve_app.core.jobs import Job, JobRunner, Submission, failure_of
from serve_app.core.media import Blob
from serve_app.core.message import Message
from serve_app.core.operation import Operation
from serve_app.core.operations import Unreadable
from serve_app.core.prices import FREE, Pricing
from serve_app.core.stages import AnotherVersion, Stage
from serve_app.core.upstreams.hops import hopped
from serve_app.jobs.insistent_writes import until_stored
from serve_app.jobs.kept_pieces import KeptPieces
from serve_app.jobs.leases import Leases
from serve_app.jobs.pending_work import pending_work
from serve_app.jobs.running_job import RunningJob
from serve_app.jobs.staging import JobStage, Steps
from serve_app.jobs.store import JobReport, JobStore
from serve_app.jobs.tracker import Tracker
from serve_app.jobs.unreadable_jobs import fail_unreadable
from serve_app.runtime.limits import LimitPassed, within
from serve_app.runtime.threads import to_its_end
from serve_app.runtime.unexpected import unexpected_errors

logger = logging.getLogger(__name__)

T = TypeVar("T")
LOOK_S = 0.5
"""How often an executor looks at the table for what others have changed."""

Perform = Callable[[Operation[Any], Stage], Awaitable[Message]]
"""Does an operation; the stage records the steps it has and is told its progress."""
Record = Callable[[Job, Message], Awaitable[dict[str, str]]]
"""Enters a result's files where they are kept; their public names by hash."""


class JobExecutor(JobRunner):
    """Runs the jobs of some queues; `queues` maps their names to how many may run at once."""

    def __init__(
        self,
        store: JobStore,
        leases: Leases,
        *,
        queues: Mapping[str, int],
        queue_of: Callable[[Operation[Any]], str],
        stages_of: Callable[[Operation[Any]], Mapping[str, float]],
        perform: Perform,
        record: Record,
        pricing: Pricing = FREE,
        max_pending: int,
        stage_attempts: int,
        cancels_on_disconnect: bool,
    ) -> None:
        self._store = store
        self._leases = leases
        self._queues = queues
        self._queue_of = queue_of
        self._stages_of = stages_of
        self._do = perform
        self._record = record
        self._pricing = pricing
        self._max_pending = max_pending
        self._stage_attempts = stage_attempts
        self._cancels_on_disconnect = cancels_on_disconnect
        self._steps: Steps | None = None
        self._runs: dict[str, RunningJob] = {}
        self._fresh: dict[str, Job] = {}
        self._starting: set[str] = set()
        self._missing: set[str] = set()
        self._waiting: dict[str, asyncio.Future[Job]] = {}

    def use(self, steps: Steps) -> None:
        """Complete the construction: workflows are registered with `perform` before they start."""
        self._steps = steps

    @override
    async def submit(self, submission: Submission) -> Job:
        queue = self._queue_of(submission.operation)
        job, starts = await self._store.add(
            submission,
            queue=queue,
            capacity=self._queues[queue],
            max_pending=self._max_pending,
            executor=self._leases.executor,
        )
        if starts:
            self._fresh[job.id] = job
            await self._begin(job.id)
        return job

    @override
    async def run(self, submission: Submission, *, timeout_s: float) -> Job:
        """When the caller leaves, the job is cancelled or not as configured."""
        waiting = self._waiting.setdefault(
            submission.id, asyncio.get_running_loop().create_future()
        )
        awaited = submission.model_copy(update={"is_awaited": True})
        adding = asyncio.ensure_future(self.submit(awaited))
        try:
            # To its end: a job that is added after its caller has left could not be cancelled.
            job = await to_its_end(adding)
            async with within(timeout_s):
                return job if job.is_final else await self._ended(job.id, waiting)
        except LimitPassed:
            raise StillRunning(
                f"job {job.id!r} takes longer than {timeout_s:g} s",
                remedy="it keeps running",
                job_id=job.id,
            ) from None
        except asyncio.CancelledError:
            if self._cancels_on_disconnect:
                await asyncio.shield(self._abandon(submission, adding))
            raise
        finally:
            self._waiting.pop(submission.id, None)

    @override
    async def cancel(self, job_id: str) -> Job:
        job = await self._store.request_cancel(job_id)
        if job_id in self._runs:
            self._runs[job_id].cancel()
        return job

    @override
    async def finish(self, job_id: str) -> Job:
        return await self._ask(job_id, "finish")

    @override
    async def skip(self, job_id: str) -> Job:
        return await self._ask(job_id, "skip")

    async def _ask(self, job_id: str, what: EarlyEnd) -> Job:
        job = await self._store.early_ends.ask(job_id, what)
        if job_id in self._runs:
            self._runs[job_id].ask(what, known_at=time.monotonic())
        return job

    async def perform(self, job_id: str) -> None:
        """The body of a job's workflow: everything from taking the job to its recorded end."""
        job = self._fresh.pop(job_id, None)
        is_fresh = job is not None
        if job is None:
            job = await until_stored(lambda: self._store.take(job_id, self._leases.executor))
        if job is None:
            return
        if isinstance(job.operation, Unreadable):
            await until_stored(lambda: fail_unreadable(self._store, job, self._leases.executor))
            return
        tracker = Tracker(
            self._stages_of(job.operation), partial(self._write, job_id), earlier=job.stages
        )
        run = self._runs[job_id] = RunningJob(tracker, is_fresh=is_fresh)
        writing = asyncio.create_task(tracker.keep_writing())
        try:
            await self._finish(job, job.operation, run)
        finally:
            writing.cancel()
            del self._runs[job_id]
        queue = self._queue_of(job.operation)
        if await self._store.has_waiting(queue):
            await self.claim(queue)

    async def maintain(self) -> None:
        """Every `LOOK_S`: take over what a dead process left, stop what is cancelled, start what
        waits.
        """
        pending = await pending_work(self._store, self._leases)
        for job_id in pending.cancelled & self._runs.keys():
            self._runs[job_id].cancel()
        for job_id in pending.asked.keys() & self._runs.keys():
            self._runs[job_id].ask(pending.asked[job_id], known_at=pending.looked_at)
        self._starting &= set(pending.running)
        missing = set(pending.running) - self._runs.keys() - self._starting
        # One that was added while this looked is not lost: it is known by the next look.
        for job_id in missing & self._missing:
            await self._store.release(self._leases.executor, job_id)
        self._missing = missing
        for queue in pending.queues & self._queues.keys():
            await self.claim(queue)

    async def claim(self, queue: str) -> None:
        """Start the jobs that there is room for."""
        ids = await self._store.claim(
            queue, capacity=self._queues[queue], executor=self._leases.executor
        )
        for job_id in ids:
            await self._begin(job_id)

    async def _begin(self, job_id: str) -> None:
        """Start a job that this process has claimed; one that cannot be started is claimed anew."""
        self._starting.add(job_id)
        try:
            await self._started.start(job_id)
        except Exception:
            logger.exception("job %s could not be started; it will be tried again", job_id)
            self._starting.discard(job_id)
            self._fresh.pop(job_id, None)

    @property
    def _started(self) -> Steps:
        assert self._steps is not None, "use() comes first"
        return self._steps

    async def _finish(self, job: Job, operation: Operation[Any], run: RunningJob) -> None:
        """Do the job and record its end, whatever it is; only the end of this process is none."""
        result: Message | None = None
        files: dict[str, str] = {}
        error: AppError | None = None
        try:
            with unexpected_errors(f"job {job.id!r}"):
                stage = JobStage(
                    self._started,
                    run,
                    hold=partial(self._hold, job.id),
                    attempts=self._stage_attempts,
                    pieces=KeptPieces(self._store.early_ends, self._leases.executor, job.id, run),
                )
                result = await self._done(operation, stage, job.hops)
                run.tracker.warn(getattr(result, "warnings", ()))
                files = await self._record(job, result)
        except AppError as failure:
            error = failure
        is_cancelled = isinstance(error, Cancelled) or (run.is_cancelled and error is not None)
        ended = await until_stored(
            lambda: self._store.finish(
                job.id,
                self._leases.executor,
                "cancelled" if is_cancelled else "failed" if error else "succeeded",
                report=run.tracker.report(is_done=error is None),
                result=None if error else result,
                files=files,
                failure=failure_of(error) if error else None,
                used=self._priced(run),
            )
        )
        waiting = self._waiting.get(job.id)
        if ended is not None and waiting is not None and not waiting.done():
            waiting.set_result(ended)

    def _priced(self, run: RunningJob) -> dict[Ran, Amounts]:
        used = run.used.by_model
        for (model, _), amounts in used.items():
            amounts.cost = self._pricing.cost(model, amounts)
        return used

    async def _done(self, operation: Operation[Any], stage: Stage, hops: int) -> Message:
        try:
            with hopped(hops):
                return await self._do(operation, stage)
        except AnotherVersion as error:
            raise InternalError(error.message) from None

    async def _write(self, job_id: str, report: JobReport) -> None:
        await self._store.report(job_id, self._leases.executor, report)

    async def _hold(self, job_id: str, blobs: list[Blob]) -> None:
        await until_stored(lambda: self._store.hold_made(job_id, blobs))

    async def _ended(self, job_id: str, waiting: "asyncio.Future[Job]") -> Job:
        """The finished job: told by this process, or seen in the table when another one ran it."""
        while True:
            done, _ = await asyncio.wait((waiting,), timeout=LOOK_S)
            if done:
                return waiting.result()
            job = await self._store.get(job_id)
            if job.is_final:
                return job
            if job.left_at is not None:
                await self._store.callers.stay(job_id)

    async def _abandon(self, submission: Submission, adding: "asyncio.Future[Job]") -> None:
        """Nobody waits any more for the job that was added, or joined."""
        if adding.cancelled() or adding.exception() is not None:
            return
        job_id = adding.result().id
        call = submission.repeatable
        may_return = call is not None and call.may_return
        with suppress(AppError):
            await self._store.callers.leave(job_id, may_return=may_return)
        if not may_return and job_id in self._runs:
            self._runs[job_id].cancel()
