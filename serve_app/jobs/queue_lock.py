"""The length of a queue, and the lock under which its next jobs are chosen."""

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from serve_app.database.locks import take_lock
from serve_app.database.schema import JobRow


def lock_queue(session: Session, queue: str) -> None:
    """One process at a time decides who of a queue starts."""
    take_lock(session, f"jobs:{queue}")


def load(session: Session, queue: str) -> tuple[int, int]:
    """How many jobs of a queue run and wait."""
    counts = session.execute(
        select(JobRow.status, func.count())
        .where(JobRow.queue == queue, or_(JobRow.status == "running", JobRow.status == "queued"))
        .group_by(JobRow.status)
    )
    found = {str(status): int(count) for status, count in counts}
    return found.get("running", 0), found.get("queued", 0)
