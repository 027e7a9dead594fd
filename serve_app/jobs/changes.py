"""Changes of a job's state, each within the transaction of its caller."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from serve_app.blobs.references import release
from serve_app.core.jobs import JobStatus
from serve_app.database.schema import JobRow


def locked(session: Session, job_id: str) -> JobRow | None:
    """The row, which nobody else changes until the end of the transaction."""
    return session.scalar(select(JobRow).where(JobRow.id == job_id).with_for_update())


def start(row: JobRow, executor: str, *, now: float) -> None:
    """Give the job to an executor."""
    row.status = "running"
    row.executor = executor
    row.attempts += 1
    row.revision = row.revision + 1
    row.started_at = row.started_at or now


def stop(session: Session, row: JobRow, *, now: float) -> None:
    """End a job that is not running; ask the executor of a running one to stop."""
    if row.status == "queued" or row.executor is None:
        end(session, row, "cancelled", now=now)
    else:
        row.cancel_requested = True


def end(session: Session, row: JobRow, status: JobStatus, *, now: float) -> None:
    """The end of the job, whatever it is."""
    row.status = status
    row.executor = None
    row.finished_at = now
    row.revision += 1
    row.callback_due_at = row.finished_at if row.callback_url else None
    row.asked_for = row.partial = None
    # What is not part of the result goes with the next sweep.
    release(session, stages_holder(row.id))


def holder(job_id: str) -> str:
    """By which name a job holds what it was given and its result, as long as it is kept."""
    return f"job:{job_id}"


def stages_holder(job_id: str) -> str:
    """By which name a running job holds what its stages have made."""
    return f"stages:{job_id}"
