"""A row of the table of direct jobs: as a job, as values to be written, and what others than the
process that runs the job may do with it.
"""

import time
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from serve_app.core.errors import Conflict, InternalError
from serve_app.core.jobs import Failure, Job, JobStatus, failure_of
from serve_app.core.operations import to_json
from serve_app.database.schema import DirectJobRow, JobRow
from serve_app.database.text import storable_json
from serve_app.jobs.direct_records import DirectRecord, recorded_job

LEASE_S = 20.0
"""How long a job is believed to run without its process having said so."""
ABANDONED = failure_of(InternalError("the process that answered this call died"))


def direct_job(session: Session, job_id: str) -> Job | None:
    """One by its id."""
    row = session.scalar(select(DirectJobRow).where(DirectJobRow.id == job_id))
    return None if row is None else _job(row)


def running_direct_jobs(session: Session, owner: str | None) -> list[Job]:
    """Those of all processes that are written and have not ended; None is everybody's. One that has
    become a durable job is that alone.
    """
    running = select(DirectJobRow).where(
        DirectJobRow.seen_at >= time.time() - LEASE_S,
        DirectJobRow.ended_at.is_(None),
        ~exists().where(JobRow.id == DirectJobRow.id),
    )
    if owner is not None:
        running = running.where(DirectJobRow.owner == owner)
    return [_job(row) for row in session.scalars(running)]


def stop_direct_job(session: Session, job_id: str) -> Job | None:
    """Ask the process that runs it to stop it; None when there is none. Conflict when it has
    ended.
    """
    row = _locked(session, job_id)
    if row is None:
        return None
    job = _job(row)
    if job.is_final:
        raise Conflict(f"job {row.id!r} is {job.status} and cannot be cancelled")
    row.cancel_requested = True
    return job


def forget_direct_job(session: Session, job_id: str) -> bool:
    """Delete one; whether there was one. Conflict while it has not ended."""
    row = _locked(session, job_id)
    if row is None:
        return False
    if not _job(row).is_final:
        raise Conflict(f"job {row.id!r} is running", remedy="cancel it first")
    session.delete(row)
    return True


def new_values(job_id: str, record: DirectRecord, now: float) -> dict[str, Any]:
    """A row to be."""
    return {
        "id": job_id,
        "operation": record.operation_name,
        "model": record.model,
        "owner": record.owner,
        "dialect": record.dialect,
        "ref_id": record.ref_id,
        "tag": record.tag,
        "cancel_requested": False,
        "began_at": record.began_at,
        **end_values(record, now),
    }


def end_values(record: DirectRecord, now: float) -> dict[str, Any]:
    """What the end of a job changes."""
    failure = record.failure
    return {
        "status": record.status,
        "error": None if failure is None else storable_json(to_json(failure)),
        "ended_at": record.ended_at,
        "seen_at": now,
    }


def _locked(session: Session, job_id: str) -> DirectJobRow | None:
    mine = select(DirectJobRow).where(DirectJobRow.id == job_id)
    return session.scalar(mine.with_for_update())


def _job(row: DirectJobRow) -> Job:
    """What runs and was not heard of for long has died with its process."""
    status: JobStatus = row.status  # type: ignore[assignment]
    record = DirectRecord(
        operation_name=row.operation,
        model=row.model,
        owner=row.owner,
        dialect=row.dialect,
        ref_id=row.ref_id,
        tag=row.tag,
        began_at=row.began_at,
        ended_at=row.ended_at,
        status=status,
        failure=None if row.error is None else Failure.model_validate(row.error),
    )
    if row.ended_at is None and row.seen_at < time.time() - LEASE_S:
        record.status, record.failure, record.ended_at = "failed", ABANDONED, row.seen_at
    return recorded_job(row.id, record)
