"""What is recorded of calls that are answered at once, a batch at a time."""

import asyncio
import dataclasses
import time

import pytest
from sqlalchemy import func, select, update

from serve_app.core.errors import Conflict, InternalError, NotFound, Unavailable
from serve_app.core.jobs import Submission, failure_of
from serve_app.core.text.embeddings import Embed
from serve_app.database.connection import Database
from serve_app.database.schema import DirectJobRow
from serve_app.jobs.direct_outbox import RENEW_S, DirectOutbox
from serve_app.jobs.direct_records import DirectRecord, DirectRun, ended_record, running_record
from serve_app.jobs.direct_rows import LEASE_S
from serve_app.jobs.direct_table import Batch, DirectTable
from serve_app.jobs.store import JobStore
from tests.databases import on_both

NOTHING: frozenset[str] = frozenset()


def run_of(job_id: str, *, began_at: float = 0.0) -> DirectRun:
    asked = Submission(id=job_id, operation=Embed(model="m", texts=("a",)), owner="ann")
    return DirectRun(asked, began_at, None)


def record(**fields: object) -> DirectRecord:
    made = ended_record(run_of("job-a"), None)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


class Replica:
    """One process: its outbox, what runs in it and what was stopped."""

    def __init__(self, table: DirectTable, **options: int) -> None:
        self.now = 1000.0
        self.runs: dict[str, DirectRun] = {}
        self.stopped: list[str] = []
        self.outbox = DirectOutbox(
            table, self.runs, self.stopped.append, clock=lambda: self.now, **options
        )

    def begin(self, job_id: str) -> None:
        self.runs[job_id] = run_of(job_id, began_at=self.now)

    def end(self, job_id: str, error: BaseException | None = None) -> None:
        self.outbox.put(job_id, ended_record(self.runs.pop(job_id), error))


class Away(DirectTable):
    """A table that fails as often as there are errors, and tells what was written."""

    def __init__(self, database: Database, *errors: Exception) -> None:
        super().__init__(database)
        self.errors = list(errors)
        self.batches: list[Batch] = []

    async def write(self, batch: Batch) -> frozenset[str]:
        if self.errors:
            raise self.errors.pop(0)
        self.batches.append(batch)
        return await super().write(batch)


async def count(database: Database) -> int:
    rows = select(func.count()).select_from(DirectJobRow)
    return await database.read(lambda session: session.scalar(rows)) or 0


async def age(database: Database, seconds: float) -> None:
    older = update(DirectJobRow).values(seen_at=DirectJobRow.seen_at - seconds)
    await database.write(lambda session: session.execute(older))


@on_both
async def test_a_job_is_written_when_it_has_run_for_a_while_and_when_it_ends(
    database: Database,
) -> None:
    store, replica = JobStore(database, ""), Replica(DirectTable(database))
    for name in ("job-a", "job-b"):
        replica.begin(name)
    replica.end("job-b")
    await replica.outbox.flush()
    with pytest.raises(NotFound):
        await store.get("job-a")
    assert (await store.get("job-b")).status == "succeeded"
    replica.now += 1
    await replica.outbox.flush()
    job = await store.get("job-a")
    assert (job.status, job.model, job.owner, job.finished_at) == ("running", "m", "ann", None)
    with pytest.raises(Conflict, match="cancel it first"):
        await store.delete("job-a")
    replica.end("job-a", Unavailable("it is gone", param="texts"))
    assert replica.outbox.ended.keys() == {"job-a"}
    await replica.outbox.flush()
    assert not replica.outbox.ended
    job = await store.get("job-a")
    assert job.status == "failed"
    assert job.failure == failure_of(Unavailable("it is gone", param="texts"))
    assert job.finished_at is not None
    with pytest.raises(Conflict, match="'job-a' is failed and cannot be cancelled"):
        await store.request_cancel("job-a")
    await store.delete("job-a")
    for change in (store.delete, store.request_cancel, store.get):
        with pytest.raises(NotFound):
            await change("job-a")
    assert await count(database) == 1


@on_both
async def test_a_batch_that_is_written_twice_or_late_changes_nothing(database: Database) -> None:
    store, table = JobStore(database, ""), DirectTable(database)
    begun = Batch(
        begun={"job-a": running_record(run_of("job-a")), "job-b": record()},
        ended={},
        gone=(),
        going_on=(),
        is_due=False,
    )
    await table.write(begun)
    await table.write(dataclasses.replace(begun, begun={"job-a": record(ended_at=2.0)}))
    await table.write(begun)
    assert await count(database) == 2
    found = await store.get("job-a")
    assert (found.status, found.finished_at) == ("succeeded", 2.0)


@on_both
async def test_whoever_runs_a_job_is_told_to_stop_it(database: Database) -> None:
    store, replica = JobStore(database, ""), Replica(DirectTable(database))
    replica.begin("job-a")
    replica.begin("job-b")
    replica.now += 1
    await replica.outbox.flush()
    assert (await store.request_cancel("job-a")).status == "running"
    await replica.outbox.flush()
    assert replica.stopped == ["job-a"]


@on_both
async def test_a_job_that_became_a_durable_one_leaves_no_row(database: Database) -> None:
    replica = Replica(DirectTable(database))
    replica.begin("job-a")
    replica.now += 1
    await replica.outbox.flush()
    del replica.runs["job-a"]
    await replica.outbox.flush()
    assert await count(database) == 0


@on_both
async def test_a_job_whose_process_died_has_failed(database: Database) -> None:
    store, replica = JobStore(database, ""), Replica(DirectTable(database))
    replica.begin("job-a")
    replica.now += 1
    await replica.outbox.flush()
    await age(database, LEASE_S - 5)
    assert (await store.get("job-a")).status == "running"
    replica.now += RENEW_S
    await replica.outbox.flush()
    await age(database, LEASE_S - 5)
    assert (await store.get("job-a")).status == "running"
    await age(database, 10)
    job = await store.get("job-a")
    assert job.status == "failed"
    assert job.failure is not None
    assert job.failure.message == "the process that answered this call died"
    await store.delete("job-a")


@on_both
async def test_the_oldest_are_forgotten_by_number_and_by_age(database: Database) -> None:
    table = DirectTable(database, kept=3)
    rows = {f"job-{number}": record() for number in range(5)}
    await table.write(Batch(rows, {}, NOTHING, NOTHING, is_due=False))
    assert await count(database) == 3
    with pytest.raises(NotFound):
        await JobStore(database, "").get("job-1")
    before = time.time()
    assert await table.forget_before(before - 60) == 0
    await age(database, 120)
    assert await table.forget_before(before - 60, limit=2) == 2
    assert await table.forget_before(before - 60, limit=2) == 1
    assert await count(database) == 0


async def test_a_database_that_is_away_is_waited_for(database: Database) -> None:
    table = Away(database, Unavailable("away", retry_after_s=5))
    replica = Replica(table)
    replica.begin("job-a")
    replica.end("job-a")
    assert not await replica.outbox.flush()
    assert replica.outbox.ended.keys() == {"job-a"}
    assert await replica.outbox.flush()
    assert not replica.outbox.ended
    assert await count(database) == 1


async def test_what_cannot_be_written_stands_in_nobodys_way(database: Database) -> None:
    table = Away(database, InternalError("no"), RuntimeError("no"))
    replica = Replica(table)
    for name in ("job-a", "job-b", "job-c"):
        replica.begin(name)
        replica.end(name)
        assert await replica.outbox.flush()
    assert [[*batch.begun] for batch in table.batches] == [["job-c"]]


async def test_only_so_many_wait_to_be_written(database: Database) -> None:
    replica = Replica(DirectTable(database), most_waiting=2)
    for name in ("job-a", "job-b", "job-c"):
        replica.begin(name)
        replica.end(name)
    assert [*replica.outbox.ended] == ["job-b", "job-c"]


async def test_everything_is_written_by_itself_and_then_nothing_more(database: Database) -> None:
    table = Away(database)
    replica = Replica(table)
    replica.begin("job-a")
    replica.outbox.wake()
    replica.outbox.wake()
    (writing,) = _tasks_of(replica.outbox)
    replica.end("job-a")
    await writing
    assert await count(database) == 1
    assert len(table.batches) == 1


def _tasks_of(outbox: DirectOutbox) -> list["asyncio.Task[None]"]:
    return [task for task in asyncio.all_tasks() if task is outbox._writing]
