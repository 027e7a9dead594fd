"""A row of the table of jobs as a Job, and a Submission as a row."""

from collections.abc import Iterable, Mapping

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from serve_app.core.amounts import Amounts, Ran
from serve_app.core.early_end import EarlyEnd
from serve_app.core.jobs import (
    FINAL,
    Failure,
    Job,
    JobProgress,
    JobStatus,
    JobWarning,
    StageState,
    Submission,
)
from serve_app.core.operations import Unreadable, read_operation, read_result, to_json
from serve_app.database.schema import JobRow
from serve_app.metering.usage_table import UsageKey, day_of, stored_model

UNREADABLE_RESULT = (
    "the result was recorded by another version of this server and cannot be read; "
    "its files are in the archive"
)


def new_row(submission: Submission, *, queue: str, now: float) -> JobRow:
    """A queued job."""
    return JobRow(
        id=submission.id,
        operation=submission.operation.name,
        request=to_json(submission.operation),
        output=submission.output,
        dialect=submission.dialect,
        owner=submission.owner,
        token=submission.token,
        tag=submission.tag,
        ref_id=submission.ref_id,
        model=getattr(submission.operation, "model", None),
        queue=queue,
        priority=submission.priority,
        status="queued",
        executor=None,
        cancel_requested=False,
        attempts=0,
        revision=1,
        created_at=now,
        started_at=None,
        finished_at=None,
        progress={},
        stages=[],
        warnings=[],
        result=None,
        files={},
        error=None,
        callback_url=submission.callback_url,
        callback_tries=0,
        callback_due_at=None,
        call_digest=submission.repeatable and submission.repeatable.digest,
        idempotency_key=submission.repeatable and submission.repeatable.key,
        left_at=None,
        is_awaited=submission.is_awaited,
        asked_for=None,
        partial=None,
        hops=submission.hops,
    )


def to_job(session: Session, row: JobRow) -> Job:
    """The job as it is in this transaction."""
    result = None if row.result is None else read_result(row.operation, row.result)
    warnings = [JobWarning.model_validate(warning) for warning in row.warnings]
    if isinstance(result, Unreadable):
        result = None
        warnings.append(JobWarning(text=UNREADABLE_RESULT, revision=row.revision))
    return Job(
        id=row.id,
        number=row.number,
        operation_name=row.operation,
        operation=read_operation(row.operation, row.request),
        output=row.output,
        owner=row.owner,
        ref_id=row.ref_id,
        tag=row.tag,
        model=row.model,
        status=status_of(row),
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        revision=row.revision,
        position=_position(session, row) if row.status == "queued" else None,
        progress=JobProgress.model_validate(row.progress),
        stages=tuple(StageState.model_validate(stage) for stage in row.stages),
        warnings=tuple(warnings),
        result=result,
        files=row.files,
        failure=None if row.error is None else Failure.model_validate(row.error),
        callback_url=row.callback_url,
        left_at=row.left_at,
        dialect=row.dialect,
        asked_for=asked_of(row),
        hops=row.hops or 0,
    )


def to_jobs(session: Session, rows: Iterable[JobRow]) -> tuple[Job, ...]:
    """Several."""
    return tuple(to_job(session, row) for row in rows)


def status_of(row: JobRow) -> JobStatus:
    """The row's status, which only this package writes."""
    status: JobStatus = row.status  # type: ignore[assignment]
    return status


def asked_of(row: JobRow) -> EarlyEnd | None:
    """What the row is asked for, which only this package writes."""
    asked: EarlyEnd | None = row.asked_for  # type: ignore[assignment]
    return asked


def charged(row: JobRow, used: Mapping[Ran, Amounts], *, now: float) -> dict[UsageKey, Amounts]:
    """What models have used for a job, on whose account."""
    day, token = day_of(now), row.token or 0
    return {
        UsageKey(day, token, row.owner, stored_model(model), provider): amounts
        for (model, provider), amounts in used.items()
    }


def is_final(row: JobRow) -> bool:
    """Whether the job has ended."""
    return status_of(row) in FINAL


def _position(session: Session, row: JobRow) -> int:
    """1 for the job that starts next: higher priorities first, then first come, first served."""
    before = select(func.count()).where(
        JobRow.queue == row.queue,
        JobRow.status == "queued",
        (JobRow.priority > row.priority)
        | ((JobRow.priority == row.priority) & (JobRow.number < row.number)),
    )
    return 1 + (session.scalar(before) or 0)
