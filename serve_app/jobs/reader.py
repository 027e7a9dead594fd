"""Reads jobs from the table: one by any of its names, or many by filters."""

from collections.abc import Collection, Mapping

from sqlalchemy import Select, false, func, select
from sqlalchemy.orm import Session

from serve_app.core.errors import AppError, Conflict, NotFound
from serve_app.core.jobs import JOB_PREFIX, Job, JobStatus
from serve_app.core.media import Blob
from serve_app.core.message import Message
from serve_app.core.operations import blobs_of
from serve_app.database.connection import Database
from serve_app.database.schema import BlobReferenceRow, DirectJobRow, JobRow
from serve_app.database.text import is_storable
from serve_app.jobs.direct_rows import direct_job, running_direct_jobs
from serve_app.jobs.records import to_job, to_jobs
from serve_app.runtime.limits import LimitPassed, within

NUMBER_DIGITS = 18
SHOWN = 10
"""How many of the jobs that share a name are listed."""


class JobQuery(Message):
    """Which jobs, newest first; filters are joined by and. `owner` None sees all."""

    owner: str | None = None
    status: JobStatus | None = None
    operation: str | None = None
    tag: str | None = None
    ref_id: str | None = None
    dialect: str | None = None
    limit: int = 50
    offset: int = 0


class JobReader:
    """The table of jobs, read."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def get(self, name: str, *, owner: str | None = None, own: str | None = None) -> Job:
        """By id, number or `ref_id`; direct jobs, too, by id. NotFound when unknown or another
        owner's; None sees all, and among jobs of one `ref_id` the one of `own` first. Conflict when
        several others share it.
        """

        def work(session: Session) -> Job:
            row = _named(session, name, owner, own)
            job = to_job(session, row) if row is not None else _direct(session, name)
            if job is None or owner not in (None, job.owner):
                raise unknown(name)
            return job

        return await self.database.read(work)

    async def jobs(self, query: JobQuery) -> tuple[tuple[Job, ...], int]:
        """A page, and how many there are in all."""

        def work(session: Session) -> tuple[tuple[Job, ...], int]:
            chosen = _filtered(query)
            total = session.scalar(select(func.count()).select_from(chosen.subquery())) or 0
            newest = chosen.order_by(JobRow.number.desc())
            page = session.scalars(newest.limit(query.limit).offset(query.offset))
            return to_jobs(session, page), total

        return await self.database.read(work)

    async def made(self, sha256: str, *, after: float, before: float) -> list[Blob]:
        """The files with these bytes in the results of jobs, whoever's, that ended in that time."""

        def work(session: Session) -> list[Blob]:
            holders = select(BlobReferenceRow.holder).where(BlobReferenceRow.sha256 == sha256)
            kinds = (text.partition(":") for text in session.scalars(holders))
            ids = [name for kind, _, name in kinds if kind == "job"]
            ended = JobRow.finished_at.between(after, before)
            chosen = select(JobRow).where(JobRow.id.in_(ids), ended).limit(SHOWN)
            jobs = to_jobs(session, session.scalars(chosen))
            return [b for job in jobs for b in blobs_of(job.result) if b.sha256 == sha256]

        return await self.database.read(work)

    async def running_direct(self, *, owner: str | None) -> list[Job]:
        """The direct jobs that some process runs and has written down; None is everybody's."""
        return await self.database.read(lambda session: running_direct_jobs(session, owner))

    async def newest_active(self, medium: str, *, owner: str) -> Job | None:
        """The owner's running, else waiting, job whose operation is of a medium."""

        def work(session: Session) -> Job | None:
            active = select(JobRow).where(
                JobRow.owner == owner,
                JobRow.operation.startswith(f"{medium}.", autoescape=True),
                JobRow.status.in_(("running", "queued")),
            )
            order = active.order_by((JobRow.status == "running").desc(), JobRow.number.desc())
            row = session.scalars(order).first()
            return None if row is None else to_job(session, row)

        return await self.database.read(work)

    async def unfinished(
        self, queues: Collection[str], *, limit: int
    ) -> Mapping[str, tuple[str, ...]]:
        """The ids of the running and waiting jobs of those queues that have any, oldest first; at
        most `limit` of each queue.
        """
        active = JobRow.status.in_(("running", "queued"))

        def work(session: Session) -> dict[str, tuple[str, ...]]:
            busy = select(JobRow.queue).where(active, JobRow.queue.in_(list(queues))).distinct()
            return {queue: oldest(session, queue) for queue in session.scalars(busy).all()}

        def oldest(session: Session, queue: str) -> tuple[str, ...]:
            ids = select(JobRow.id).where(active, JobRow.queue == queue)
            return tuple(session.scalars(ids.order_by(JobRow.number).limit(limit)))

        return await self.database.read(work)

    async def counts(self) -> tuple[int, int]:
        """How many jobs wait, and how many run."""

        def work(session: Session) -> tuple[int, int]:
            active = JobRow.status.in_(("queued", "running"))
            chosen = select(JobRow.status, func.count()).where(active).group_by(JobRow.status)
            found = {str(status): int(count) for status, count in session.execute(chosen)}
            return found.get("queued", 0), found.get("running", 0)

        return await self.database.read(work)

    async def succeeded_since(self, moment: float) -> int:
        """How many jobs, direct ones too, have ended well since a unix second."""

        def work(session: Session) -> int:
            durable = select(func.count()).where(
                JobRow.status == "succeeded", JobRow.finished_at >= moment
            )
            direct = select(func.count()).where(
                DirectJobRow.status == "succeeded", DirectJobRow.ended_at >= moment
            )
            return (session.scalar(durable) or 0) + (session.scalar(direct) or 0)

        return await self.database.read(work)

    async def is_reachable(self, *, timeout_s: float) -> bool:
        """Whether the table can be read."""
        try:
            async with within(timeout_s):
                await self.counts()
        except (LimitPassed, AppError):
            return False
        return True

    async def has_waiting(self, queue: str) -> bool:
        """Whether somebody waits in a queue. It takes no lock, as claiming does."""
        waiting = select(JobRow.id).where(JobRow.queue == queue, JobRow.status == "queued").limit(1)
        return await self.database.read(lambda session: session.scalar(waiting) is not None)


def unknown(name: str) -> AppError:
    """The error for a job that does not exist, or is another owner's."""
    return NotFound(f"no job {name[:128]!r}", param="id")


def _named(session: Session, name: str, owner: str | None, own: str | None) -> JobRow | None:
    """Ids and numbers go before names that somebody gave: earlier versions took such names too."""
    if not is_storable(name):
        return None
    row = session.scalar(select(JobRow).where(JobRow.id == name))
    number = int(name) if _is_number(name) else None
    if row is None and number is not None:
        row = session.get(JobRow, number)
        if row is not None and owner not in (None, row.owner):
            row = None
    return row or _referred_to(session, name, owner, own)


def _direct(session: Session, name: str) -> Job | None:
    is_id = name.startswith(JOB_PREFIX) and is_storable(name)
    return direct_job(session, name) if is_id else None


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) <= NUMBER_DIGITS


def _referred_to(
    session: Session, ref_id: str, owner: str | None, own: str | None
) -> JobRow | None:
    rows = session.scalars(select(JobRow).where(JobRow.ref_id == ref_id)).all()
    mine = [row for row in rows if row.owner == (owner or own)]
    if mine or owner is not None:
        return mine[0] if mine else None
    if len(rows) > 1:
        ids = ", ".join(f"{row.id!r} of {row.owner!r}" for row in rows[:SHOWN])
        raise Conflict(
            f"{ref_id!r} names jobs of several owners: {ids}", remedy="use an id", param="id"
        )
    return rows[0] if rows else None


def _filtered(query: JobQuery) -> Select[JobRow]:
    chosen = select(JobRow)
    for name in ("owner", "status", "operation", "tag", "ref_id", "dialect"):
        value = getattr(query, name)
        if value is not None:
            is_known = getattr(JobRow, name) == value if is_storable(value) else false()
            chosen = chosen.where(is_known)
    return chosen
