"""What is known of a direct job: all of it while it runs, and afterwards how it ended."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from serve_app.core.errors import AppError, Cancelled
from serve_app.core.jobs import Failure, Job, JobProgress, JobStatus, Submission, failure_of
from serve_app.core.operations import Unreadable

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


def ended_run(run: DirectRun, error: BaseException | None) -> EndedRun:
    """How one has ended. Whoever leaves, or closes a stream before its end, has cancelled it."""
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


def running_job(run: DirectRun) -> Job:
    """One that is under way, as a job."""
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


def ended_job(job_id: str, run: EndedRun) -> Job:
    """One that has ended, as a job; it has no result: its caller was given it."""
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
