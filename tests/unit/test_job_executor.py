"""Running jobs when starting them, or the database, fails."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import pytest
from sqlalchemy import select

from serve_app.blobs.store import FsspecBlobStore
from serve_app.catalog.catalog import Catalog
from serve_app.core.audio.speech import Voices
from serve_app.core.config import AppConfig
from serve_app.core.errors import BackendUnavailable, InvalidRequest, ModelNotReady, Unavailable
from serve_app.core.jobs import Job, Submission
from serve_app.core.message import Message
from serve_app.core.operation import Operation
from serve_app.core.stages import Stage, Stages
from serve_app.core.status import ModelStatus
from serve_app.core.text.rerank import Relevance, Rerank
from serve_app.database.connection import Database
from serve_app.database.schema import JobRow
from serve_app.jobs.assembly import OperationExecutor
from serve_app.jobs.executor import JobExecutor
from serve_app.jobs.leases import Leases
from serve_app.jobs.plain_steps import PlainSteps
from serve_app.jobs.reader import JobQuery
from serve_app.jobs.store import JobStore

T = TypeVar("T")
DONE = Relevance(scores=(1.0,), prompt_tokens=1)
Work = Callable[[], Awaitable[Relevance]]


def executor_of(
    store: JobStore,
    work: Work,
    *,
    steps: Callable[[Any], PlainSteps] = PlainSteps,
    perform: Callable[[Any, Stage], Awaitable[Message]] | None = None,
) -> JobExecutor:
    """One whose every job is one stage that does `work`, if it does not `perform` otherwise."""

    async def in_one_stage(_operation: object, stage: Stage) -> Relevance:
        return await stage("work", work)

    async def record(_job: Job, _result: object) -> dict[str, str]:
        return {}

    executor = JobExecutor(
        store,
        Leases(store.database, "me"),
        queues={"rerank": 1},
        queue_of=lambda _: "rerank",
        stages_of=lambda _: {"work": 1.0},
        perform=perform or in_one_stage,
        record=record,
        max_pending=10,
        stage_attempts=3,
        cancels_on_disconnect=True,
    )
    executor.use(steps(executor.perform))
    return executor


def submission(job_id: str = "job-1") -> Submission:
    operation = Rerank(model="m", query="q", documents=("d",))
    return Submission(id=job_id, operation=operation, owner="me")


async def done() -> Relevance:
    return DONE


class FailingOnce(PlainSteps):
    """The first start fails, as when the database is away too long."""

    starts = 0

    async def start(self, job_id: str) -> None:
        self.starts += 1
        if self.starts == 1:
            raise OSError("no database")
        await super().start(job_id)


class OnRecord(PlainSteps):
    """Every step was done before, with a result that it has no more."""

    async def step(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        return cast("T", Voices(voices=()))


class Forgetful(PlainSteps):
    """The first start is lost without a word."""

    starts = 0

    async def start(self, job_id: str) -> None:
        self.starts += 1
        if self.starts > 1:
            await super().start(job_id)


async def test_a_job_that_could_not_be_started_is_started_again(database: Database) -> None:
    store = JobStore(database, "")
    executor = executor_of(store, done, steps=FailingOnce)
    assert (await executor.submit(submission())).status == "running"
    async with asyncio.timeout(60):
        while not (await store.get("job-1")).is_final:
            await executor.maintain()
    assert (await store.get("job-1")).result == DONE


async def as_a_job(operation: Operation[Any], stage: Stage) -> Message:
    catalog = Catalog(AppConfig(), {}, statuses=no_statuses)
    blobs = cast("FsspecBlobStore", None)
    return await OperationExecutor(AppConfig(), catalog, blobs, ())(operation, stage)


async def as_a_stage(operation: Operation[Any], stage: Stage) -> Message:
    outcome: Message = await Stages(Catalog(AppConfig(), {}, statuses=no_statuses).run, stage).run(
        "work", operation
    )
    return outcome


async def as_work_of_a_stage(_operation: Operation[Any], stage: Stage) -> Message:
    stages = Stages(Catalog(AppConfig(), {}, statuses=no_statuses).run, stage)
    return await stages("work", done, Relevance)


async def as_a_collection(_operation: Operation[Any], stage: Stage) -> Message:
    async def several() -> tuple[Relevance, ...]:
        return (DONE, DONE)

    stages = Stages(Catalog(AppConfig(), {}, statuses=no_statuses).run, stage)
    return (await stages("work", several, tuple[Relevance, ...]))[0]


async def no_statuses() -> dict[str, ModelStatus]:
    return {}


@pytest.mark.parametrize("perform", [as_work_of_a_stage, as_a_collection])
async def test_what_a_stage_returns_is_what_it_says(
    database: Database, perform: Callable[[Any, Stage], Awaitable[Message]]
) -> None:
    executor = executor_of(JobStore(database, ""), done, perform=perform)
    assert (await executor.run(submission(), timeout_s=20)).result == DONE


@pytest.mark.parametrize("perform", [as_a_job, as_a_stage, as_work_of_a_stage, as_a_collection])
async def test_a_record_of_another_result_fails_the_job_in_words(
    database: Database, perform: Callable[[Any, Stage], Awaitable[Message]]
) -> None:
    executor = executor_of(JobStore(database, ""), done, steps=OnRecord, perform=perform)
    job = await executor.run(submission(), timeout_s=20)
    assert job.status == "failed"
    assert job.failure is not None
    assert job.failure.code == "internal_error"
    assert "was recorded by another version of this server" in job.failure.message


async def test_a_job_under_way_is_left_alone_by_looking_after(database: Database) -> None:
    store = JobStore(database, "")
    begun = 0

    async def slow() -> Relevance:
        nonlocal begun
        begun += 1
        await asyncio.sleep(0.3)
        return DONE

    executor = executor_of(store, slow)
    running = asyncio.create_task(executor.run(submission(), timeout_s=10))
    while not running.done():
        await executor.maintain()
        await asyncio.sleep(0.01)
    assert (await running).status == "succeeded"
    assert begun == 1


async def test_the_end_of_a_job_outwaits_a_database_that_is_away(database: Database) -> None:
    class Away(JobStore):
        refusals = 3

        async def finish(self, *arguments: Any, **fields: Any) -> Job | None:
            if self.refusals:
                self.refusals -= 1
                raise Unavailable("the database does not answer", retry_after_s=1)
            return await super().finish(*arguments, **fields)

    executor = executor_of(Away(database, ""), done)
    job = await executor.run(submission(), timeout_s=20)
    assert (job.status, job.result) == ("succeeded", DONE)


@pytest.mark.parametrize(
    ("error", "tries", "status"),
    [
        (BackendUnavailable("died", retry_after_s=0.01), 3, "failed"),
        (ModelNotReady("loading", retry_after_s=0.01), 6, "succeeded"),
        (BackendUnavailable("no such engine"), 1, "failed"),
        (InvalidRequest("wrong"), 1, "failed"),
        (RuntimeError("a defect"), 1, "failed"),
    ],
)
async def test_a_stage_is_tried_again_while_that_can_help(
    database: Database, error: Exception, tries: int, status: str
) -> None:
    tried = 0

    async def work() -> Relevance:
        nonlocal tried
        tried += 1
        if tried < 6:
            raise error
        return DONE

    job = await executor_of(JobStore(database, ""), work).run(submission(), timeout_s=10)
    assert (job.status, tried) == (status, tries)
    if isinstance(error, RuntimeError):
        assert job.failure is not None
        assert "a defect" not in job.failure.message


class SlowlyAdded(JobStore):
    """Adds jobs when it may, whether or not somebody waits, as a thread of the database does."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, "")
        self.is_asked, self.may_go_on = asyncio.Event(), asyncio.Event()

    async def add(self, *arguments: Any, **fields: Any) -> tuple[Job, bool]:
        self.is_asked.set()
        return await asyncio.shield(asyncio.ensure_future(self._added(*arguments, **fields)))

    async def _added(self, *arguments: Any, **fields: Any) -> tuple[Job, bool]:
        await self.may_go_on.wait()
        return await super().add(*arguments, **fields)


async def test_a_job_whose_caller_leaves_while_it_is_added_is_cancelled(database: Database) -> None:
    async def slow() -> Relevance:
        await asyncio.sleep(1)
        return DONE

    store = SlowlyAdded(database)
    executor = executor_of(store, slow)
    running = asyncio.create_task(executor.run(submission(), timeout_s=10))
    await store.is_asked.wait()
    running.cancel()
    await asyncio.sleep(0.05)
    store.may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    async with asyncio.timeout(60):
        while not (await store.jobs(JobQuery(status="cancelled")))[1]:
            await executor.maintain()
            assert (await store.jobs(JobQuery(status="succeeded")))[1] == 0


async def test_what_another_version_accepted_fails_and_holds_nobody_up(database: Database) -> None:
    """As after an update, or a step back."""
    store = JobStore(database, "")
    await store.add(submission(), queue="rerank", capacity=0, max_pending=10, executor="other")
    await store.add(submission("2"), queue="rerank", capacity=0, max_pending=10, executor="other")

    def rename_a_field(session: Any) -> None:
        row = session.scalar(select(JobRow).where(JobRow.id == "job-1"))
        row.request = {"model": "m", "question": "q"}

    await database.write(rename_a_field)
    executor = executor_of(store, done)
    async with asyncio.timeout(60):
        while not (await store.get("2")).is_final:
            await executor.maintain()
            await asyncio.sleep(0.01)
    refused, kept = await store.get("job-1"), await store.get("2")
    assert refused.status == "failed"
    assert refused.failure is not None
    assert "another version" in refused.failure.message
    assert (kept.status, kept.result) == ("succeeded", DONE)


@pytest.mark.parametrize("surprise", [TimeoutError("of a store"), asyncio.CancelledError()])
async def test_what_the_work_raises_by_itself_is_neither_a_limit_nor_a_cancellation(
    database: Database, surprise: BaseException
) -> None:
    async def broken() -> Relevance:
        raise surprise

    executor = executor_of(JobStore(database, ""), broken)
    job = await executor.run(submission(), timeout_s=60)
    assert job.status == "failed"
    assert job.failure is not None
    assert job.failure.code == "internal_error"
    assert job.failure.message == "'work' failed unexpectedly"
    assert job.failure.remedy == "the server's log says why"


async def test_a_time_out_of_the_table_is_not_the_limit(database: Database) -> None:
    class Hasty(JobStore):
        async def add(self, *arguments: Any, **fields: Any) -> tuple[Job, bool]:
            raise TimeoutError("of the store")

    executor = executor_of(Hasty(database, ""), done)
    with pytest.raises(TimeoutError, match="of the store"):
        await executor.run(submission(), timeout_s=60)
