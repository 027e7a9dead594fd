"""What is known of a direct job: all of it to the process that runs it, to all others, and when it
has ended, how it is.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from serve_app.core.errors import AppError, Cancelled
from serve_app.core.jobs import Failure, Job, JobProgress, JobStatus, Submission, failure_of
from serve_app.core.operations import Unreadable

NOT_OF_DIRECT_JOBS: dict[str, Any] = {
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
    """One that runs in this process."""

    submission: Submission
    began_at: float
    task: "asyncio.Task[object] | None"
    is_cancelled: bool = False


@dataclass(slots=True)
class DirectRecord:
    """What is told of one: a few hundred bytes, without what was asked for and what was answered.
    `ended_at` is None while it runs.
    """

    operation_name: str
    model: str | None
    owner: str
    dialect: str
    ref_id: str | None
    tag: str | None
    began_at: float
    ended_at: float | None = None
    status: JobStatus = "running"
    failure: Failure | None = None


def running_record(run: DirectRun) -> DirectRecord:
    """Of one that is under way."""
    asked = run.submission
    return DirectRecord(
        operation_name=asked.operation.name,
        model=asked.operation.model_name,
        owner=asked.owner,
        dialect=asked.dialect,
        ref_id=asked.ref_id,
        tag=asked.tag,
        began_at=run.began_at,
    )


def ended_record(run: DirectRun, error: BaseException | None) -> DirectRecord:
    """Of one that has ended. Who leaves, or closes a stream before its end, has cancelled it."""
    record = running_record(run)
    record.ended_at = time.time()
    record.status = "succeeded" if error is None else "cancelled"
    if isinstance(error, AppError) and not isinstance(error, Cancelled):
        record.status, record.failure = "failed", failure_of(error)
    return record


def running_job(run: DirectRun) -> Job:
    """One that runs in this process, as a job."""
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
        **NOT_OF_DIRECT_JOBS,
    )


def recorded_job(job_id: str, record: DirectRecord) -> Job:
    """One of which there is the record alone, as a job; its caller was given the result."""
    return Job(
        id=job_id,
        operation_name=record.operation_name,
        operation=Unreadable(),
        dialect=record.dialect,
        output={},
        owner=record.owner,
        ref_id=record.ref_id,
        tag=record.tag,
        model=record.model,
        status=record.status,
        created_at=record.began_at,
        started_at=record.began_at,
        finished_at=record.ended_at,
        revision=0 if record.ended_at is None else 1,
        failure=record.failure,
        **NOT_OF_DIRECT_JOBS,
    )
