"""What others have changed for an executor, which it looks for again and again."""

import logging
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from serve_app.core.early_end import EarlyEnd
from serve_app.database.schema import ExecutorRow, JobRow
from serve_app.jobs.leases import Leases
from serve_app.jobs.store import JobStore

logger = logging.getLogger(__name__)


class PendingWork(NamedTuple):
    """What an executor has to do: its running jobs, those of them to stop, those asked to end
    early, and queues in which somebody waits or was lost. `looked_at` is the monotonic clock's.
    """

    looked_at: float
    running: tuple[str, ...]
    cancelled: frozenset[str]
    asked: Mapping[str, EarlyEnd]
    queues: frozenset[str]


async def pending_work(store: JobStore, leases: Leases) -> PendingWork:
    """When what a dead process left is released and what its callers left is stopped. Everything is
    read in one transaction, which a server that has nothing to do spends its time with.
    """

    def look(session: Session) -> tuple[Sequence[ExecutorRow], bool, PendingWork]:
        others, is_left = leases.others(session), store.callers.has_abandoned(session)
        return others, is_left, _pending(session, leases.executor, looked_at)

    while True:
        looked_at = time.monotonic()
        others, is_left, pending = await store.database.read(look)
        dead = leases.dead_among(others)
        for executor in dead:
            released = await store.release(executor)
            await leases.forget(executor)
            if released:
                logger.warning("took over %d jobs of a process that died", released)
        if is_left:
            await store.callers.stop_abandoned()
        if not dead and not is_left:
            return pending


def _pending(session: Session, executor: str, looked_at: float) -> PendingWork:
    mine = session.execute(
        select(JobRow.id, JobRow.cancel_requested, JobRow.asked_for).where(
            JobRow.executor == executor, JobRow.status == "running"
        )
    ).all()
    lost = (JobRow.status == "running") & JobRow.executor.is_(None)
    queues = select(JobRow.queue).where((JobRow.status == "queued") | lost).distinct()
    return PendingWork(
        looked_at=looked_at,
        running=tuple(job_id for job_id, _, _ in mine),
        cancelled=frozenset(job_id for job_id, is_cancelled, _ in mine if is_cancelled),
        asked={job_id: cast("EarlyEnd", asked) for job_id, _, asked in mine if asked},
        queues=frozenset(session.scalars(queues)),
    )
