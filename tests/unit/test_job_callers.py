"""Callers that leave and come back, by a clock that the test moves."""

import asyncio
from pathlib import Path

import pytest

from serve_app.core.errors import Conflict, NotFound
from serve_app.core.jobs import JobStatus, Repeatable, Submission
from serve_app.core.stages import Stage
from serve_app.core.text.rerank import Relevance, Rerank
from serve_app.database.connection import Database
from serve_app.database.schema import JobRow
from serve_app.jobs.callers import RETURN_S
from serve_app.jobs.executor import JobExecutor
from serve_app.jobs.leases import Leases
from serve_app.jobs.plain_steps import PlainSteps
from serve_app.jobs.store import JobStore
from tests.databases import on_both


def submission(number: int, **call: object) -> Submission:
    """The `number`th handing-in of one call."""
    return Submission(
        id=f"job-{number}",
        operation=Rerank(model="m", query="q", documents=("d",)),
        owner="me",
        ref_id="take",
        repeatable=Repeatable.model_validate({"digest": "same", "is_again": number > 1} | call),
    )


class Clock:
    """Two processes that run jobs, and the time."""

    def __init__(self, database: Database) -> None:
        self.now = 1000.0
        self.number = 1
        self.may_end = asyncio.Event()
        self.start(database)

    def start(self, database: Database, names: tuple[str, str] = ("one", "two")) -> None:
        """The processes, now."""
        self.store = JobStore(database, "", clock=lambda: self.now)
        self.executors = [self.executor(name) for name in names]

    def executor(self, name: str) -> JobExecutor:
        async def perform(_operation: object, stage: Stage) -> Relevance:
            return await stage("work", self.work)

        async def record(_job: object, _result: object) -> dict[str, str]:
            return {}

        executor = JobExecutor(
            self.store,
            Leases(self.store.database, name),
            queues={"rerank": 1},
            queue_of=lambda _: "rerank",
            stages_of=lambda _: {"work": 1.0},
            perform=perform,
            record=record,
            max_pending=10,
            stage_attempts=3,
            cancels_on_disconnect=True,
        )
        executor.use(PlainSteps(executor.perform))
        return executor

    async def work(self) -> Relevance:
        await self.may_end.wait()
        return Relevance(scores=(1.0,), prompt_tokens=1)

    async def called(self, at: int, number: int, **call: object) -> asyncio.Task[object]:
        """A call at one of the processes, once its job is there."""
        running = self.executors[at].run(submission(number, **call), timeout_s=60)
        task: asyncio.Task[object] = asyncio.create_task(running)
        async with asyncio.timeout(60):
            while not await self.is_waited_for():
                await asyncio.sleep(0.01)
        return task

    async def is_waited_for(self) -> bool:
        try:
            return (await self.store.get("take", owner="me")).left_at is None
        except NotFound:
            return False

    async def left(self, task: asyncio.Task[object]) -> None:
        task.cancel()
        await asyncio.wait((task,))

    async def goes_on(self, seconds: float) -> bool:
        """Whether nobody stops the first job, so much later."""
        self.now += seconds
        for executor in self.executors:
            await executor.maintain()
        row = await self.store.database.read(lambda session: session.get(JobRow, self.number))
        assert row is not None
        return row.status in ("queued", "running") and not row.cancel_requested

    async def status(self) -> JobStatus:
        """That of the first job, once it has ended."""
        async with asyncio.timeout(60):
            while not (job := await self.store.get("job-1")).is_final:
                await asyncio.sleep(0.01)
        return job.status


@pytest.fixture
def clock(database: Database) -> Clock:
    return Clock(database)


async def test_a_job_whose_caller_may_return_goes_on_for_a_while(clock: Clock) -> None:
    await clock.left(await clock.called(0, 1, may_return=True))
    assert await clock.goes_on(RETURN_S)
    assert not await clock.goes_on(1)
    assert await clock.status() == "cancelled"


async def test_nobody_is_late_while_no_process_runs(clock: Clock) -> None:
    await clock.left(await clock.called(0, 1, may_return=True))
    clock.now += 10 * RETURN_S
    clock.start(clock.store.database, ("three", "four"))
    assert await clock.goes_on(0)
    assert await clock.goes_on(RETURN_S)
    assert not await clock.goes_on(1)


async def test_a_job_whose_caller_will_not_return_is_stopped_at_once(clock: Clock) -> None:
    await clock.left(await clock.called(0, 1))
    assert not await clock.goes_on(0)
    assert await clock.status() == "cancelled"


async def test_who_comes_back_in_time_keeps_the_job(clock: Clock) -> None:
    await clock.left(await clock.called(0, 1, may_return=True))
    assert await clock.goes_on(RETURN_S)
    again = await clock.called(1, 2, may_return=True)
    assert await clock.goes_on(10 * RETURN_S)
    clock.may_end.set()
    job = await again
    assert getattr(job, "id", None) == "job-1"
    assert getattr(job, "status", None) == "succeeded"


async def test_one_of_two_who_leaves_late_takes_nothing_from_the_other(clock: Clock) -> None:
    """A proxy may notice only after the second try has come that the first one's client left."""
    first = await clock.called(0, 1, may_return=True)
    again = await clock.called(1, 2, may_return=True)
    await clock.left(first)
    async with asyncio.timeout(60):
        while not await clock.is_waited_for():
            await asyncio.sleep(0.01)
    assert await clock.goes_on(10 * RETURN_S)
    await clock.left(again)
    assert not await clock.goes_on(10 * RETURN_S)
    assert await clock.status() == "cancelled"


async def test_a_job_that_one_call_did_not_wait_for_is_not_stopped(clock: Clock) -> None:
    await clock.executors[0].submit(submission(1, may_return=True))
    await clock.left(await clock.called(1, 2, may_return=True))
    assert await clock.goes_on(10 * RETURN_S)
    clock.may_end.set()
    assert await clock.status() == "succeeded"


async def test_a_call_that_does_not_wait_keeps_the_job_that_it_joins(clock: Clock) -> None:
    waiting = await clock.called(0, 1, may_return=True)
    joined = await clock.executors[1].submit(submission(2, may_return=True))
    assert joined.id == "job-1"
    await clock.left(waiting)
    assert await clock.goes_on(10 * RETURN_S)
    clock.may_end.set()
    assert await clock.status() == "succeeded"


async def test_who_comes_back_too_late_begins_anew(clock: Clock) -> None:
    await clock.left(await clock.called(0, 1, may_return=True))
    assert not await clock.goes_on(RETURN_S + 1)
    assert await clock.status() == "cancelled"
    clock.may_end.set()
    job = await clock.executors[1].run(submission(2, may_return=True), timeout_s=60)
    assert (job.id, job.ref_id, job.status) == ("job-2", "take", "succeeded")
    assert (await clock.store.get("job-1")).ref_id is None


async def test_a_waiting_job_is_given_up_too(clock: Clock) -> None:
    blocking = submission(9).model_copy(update={"ref_id": None})
    await clock.executors[0].submit(blocking)
    clock.number = 2
    await clock.left(await clock.called(0, 1, may_return=True))
    assert (await clock.store.get("job-1")).status == "queued"
    assert not await clock.goes_on(RETURN_S + 1)
    assert await clock.status() == "cancelled"
    assert (await clock.store.get("job-9")).status == "running"


@on_both
@pytest.mark.parametrize("names", [{"key": "k"}, {"ref_id": "take"}])
async def test_a_call_handed_in_by_many_at_once_is_one_job(
    database: Database, tmp_path: Path, names: dict[str, str]
) -> None:
    """By replicas with connections of their own, and with another one of the same name, for another
    queue: whoever is first has the name.
    """
    replicas = [JobStore(Database(database.url), str(tmp_path)) for _ in range(4)]

    async def handed_in(number: int) -> str:
        queue = "b" if number % 3 == 0 else "a"
        call = {"is_again": True, "key": names.get("key"), "digest": queue}
        handed = submission(number, **call).model_copy(update={"ref_id": names.get("ref_id")})
        job, _ = await replicas[number % 4].add(
            handed, queue=queue, capacity=1, max_pending=100, executor="me"
        )
        return job.id

    try:
        outcomes = await asyncio.gather(
            *(handed_in(number) for number in range(12)), return_exceptions=True
        )
        ids = {outcome for outcome in outcomes if isinstance(outcome, str)}
        assert len(ids) == 1
        refused = [outcome for outcome in outcomes if not isinstance(outcome, str)]
        assert {type(error) for error in refused} == {Conflict}
        assert len(refused) in (4, 8)
    finally:
        for replica in replicas:
            replica.database.close()
