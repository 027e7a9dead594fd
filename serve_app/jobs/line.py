"""The line before a queue: who may stand in it, and how long it is."""

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from serve_app.core.errors import Conflict
from serve_app.core.jobs import Submission
from serve_app.database.schema import JobRow
from serve_app.database.turns import take_turn


def line_up(session: Session, queue: str) -> None:
    """One process at a time decides who of a queue starts."""
    take_turn(session, f"jobs:{queue}")


def load(session: Session, queue: str) -> tuple[int, int]:
    """How many jobs of a queue run and wait."""
    counts = session.execute(
        select(JobRow.status, func.count())
        .where(JobRow.queue == queue, or_(JobRow.status == "running", JobRow.status == "queued"))
        .group_by(JobRow.status)
    )
    found = {str(status): int(count) for status, count in counts}
    return found.get("running", 0), found.get("queued", 0)


def check_ref_id(session: Session, submission: Submission) -> None:
    """Conflict if another of the owner's jobs has this reference id already."""
    if submission.ref_id is None:
        return
    taken = select(JobRow.id).where(
        JobRow.owner == submission.owner, JobRow.ref_id == submission.ref_id
    )
    if session.scalar(taken) is not None:
        raise Conflict(f"ref_id {submission.ref_id!r} names a job already", param="ref_id")
