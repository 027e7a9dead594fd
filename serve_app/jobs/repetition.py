"""Repeated calls: which job a repetition joins.

Clients repeat a call whose answer they have not heard, because it took longer than they wait or
because the connection broke. The job that the first call made is still there, running or ended.
"""

from sqlalchemy import select
from sqlalchemy.orm import Session

from serve_app.core.errors import Conflict
from serve_app.core.jobs import KEY_HEADER, Submission
from serve_app.database.schema import JobRow
from serve_app.jobs.records import is_final


def job_joined(session: Session, submission: Submission) -> JobRow | None:
    """The job that is there for a call, None for a call of its own. Conflict for an idempotency
    key that another call of the owner has, or a `ref_id` that another of the owner's jobs has.
    """
    call = submission.repeatable
    if call is not None and call.key is not None:
        row = _owned(session, submission, JobRow.idempotency_key == call.key)
        if row is not None:
            if row.call_digest != call.digest:
                raise Conflict(
                    f"the key {call.key!r} was used for a different request",
                    remedy="a retry must have the same path and body",
                    param=KEY_HEADER,
                )
            return _joined(session, row, submission)
    if submission.ref_id is None:
        return None
    row = _owned(session, submission, JobRow.ref_id == submission.ref_id)
    if row is None:
        return None
    if call is not None and call.is_again and row.call_digest == call.digest:
        return _joined(session, row, submission)
    raise Conflict(f"{submission.ref_id!r} already names a job", param="ref_id")


def _owned(session: Session, submission: Submission, is_it: object) -> JobRow | None:
    mine = select(JobRow).where(JobRow.owner == submission.owner, is_it)  # type: ignore[arg-type]
    return session.scalar(mine.with_for_update())


def _joined(session: Session, row: JobRow, submission: Submission) -> JobRow | None:
    """The job, which is no longer stopped when its callers leave as soon as one call of it does not
    wait. One that was stopped because nobody waited gives its names up to a new job.
    """
    if row.left_at is not None and (row.status == "cancelled" or row.cancel_requested):
        row.ref_id = row.idempotency_key = None
        session.flush()
        return None
    if not is_final(row):
        row.left_at = None
        row.is_awaited = row.is_awaited and submission.is_awaited
    return row
