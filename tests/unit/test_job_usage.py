"""What jobs use of models is charged once, to the token that they came with: also when a job is
resumed, taken over, cancelled or failed.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from serve_app.blobs.store import FsspecBlobStore
from serve_app.catalog.catalog import Catalog
from serve_app.core.amounts import Amounts, Ran
from serve_app.core.config import AppConfig
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.images import TextToImage
from serve_app.core.jobs import Job, JobProgress, Submission
from serve_app.core.message import Message
from serve_app.core.operation import Operation, OperationRunner
from serve_app.core.prices import Price, Pricing
from serve_app.core.stages import Stage, Stages
from serve_app.core.status import ModelStatus
from serve_app.core.text.chat import Chat, ChatDelta, ChatEvent, ChatMessage, TextPart, Usage
from serve_app.core.text.rerank import Relevance, Rerank
from serve_app.database.connection import Database
from serve_app.jobs.assembly import OperationExecutor
from serve_app.jobs.executor import JobExecutor
from serve_app.jobs.leases import Leases
from serve_app.jobs.plain_steps import PlainSteps
from serve_app.jobs.recorded_steps import recorded_step
from serve_app.jobs.store import JobReport, JobStore
from serve_app.metering.usage_table import all_time, day_of, days_of_tokens
from tests.databases import on_both
from tests.unit.test_early_ends import GatedImages

T = TypeVar("T")
CONFIG = AppConfig.model_validate(
    {
        "families": [
            {
                "name": task,
                "options": {"engine": "fake", "task": task},
                "models": [{"id": f"a-{task}"}],
            }
            for task in ("chat", "rerank")
        ]
    }
)
IMAGES = AppConfig.model_validate(
    {
        "families": [
            {
                "name": "images",
                "options": {"engine": "fake", "task": "images"},
                "models": [{"id": "m"}],
            }
        ]
    }
)
RERANK = Rerank(model="a-rerank", query="q", documents=("d",))
CHAT = Chat(
    model="a-chat", messages=(ChatMessage(role="user", content=(TextPart(text="x" * 40),)),)
)
DONE = Relevance(scores=(1.0,), prompt_tokens=5)
USAGE = Usage(prompt_tokens=3, completion_tokens=2, cached_tokens=1)
Records = dict[tuple[str, str], str]


class KeptSteps(PlainSteps):
    """Steps whose records outlive their process, and nothing else does."""

    def __init__(self, perform: Callable[[str], Awaitable[None]], records: Records) -> None:
        super().__init__(perform)
        self._records = records

    async def step(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        async def keep(recorded: Callable[[], Coroutine[Any, Any, str]]) -> str:
            key = ("job-1", name)
            if key not in self._records:
                self._records[key] = await recorded()
            return self._records[key]

        return await recorded_step(name, work, keep)


class Engines(OperationRunner):
    """Models that say what they have used; the chat waits in the middle until it may go on."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.is_half_said = asyncio.Event()
        self.may_end = asyncio.Event()

    def run(self, operation: Operation[Any, Any]) -> Any:
        self.ran.append(operation.name)
        return self._chat() if isinstance(operation, Chat) else self._rerank()

    async def _rerank(self) -> AsyncGenerator[Relevance]:
        yield DONE

    async def _chat(self) -> AsyncGenerator[ChatEvent]:
        yield ChatDelta(text="one")
        yield ChatDelta(text="two")
        self.is_half_said.set()
        await self.may_end.wait()
        yield USAGE


async def no_statuses() -> Mapping[str, ModelStatus]:
    return {}


def executor_of(
    store: JobStore,
    engines: Engines,
    *,
    name: str = "me",
    records: Records | None = None,
    perform: Callable[[Stages], Awaitable[Message]] | None = None,
) -> JobExecutor:
    catalog = Catalog(CONFIG, {"chat": engines, "rerank": engines}, statuses=no_statuses)
    plain = OperationExecutor(CONFIG, catalog, cast("FsspecBlobStore", None), ())

    async def performed(operation: Operation[Any], stage: Stage) -> Message:
        if perform is None:
            return await plain(operation, stage)
        return await perform(Stages(catalog.run, stage))

    async def record(_job: Job, _result: object) -> dict[str, str]:
        return {}

    executor = JobExecutor(
        store,
        Leases(store.database, name),
        queues={"rerank": 1},
        queue_of=lambda _: "rerank",
        stages_of=lambda _: {"work": 1.0},
        perform=performed,
        record=record,
        pricing=Pricing([Price(model="a-rerank", prompt_tokens=1_000_000)]),
        max_pending=10,
        stage_attempts=3,
        cancels_on_disconnect=True,
    )
    executor.use(KeptSteps(executor.perform, {} if records is None else records))
    return executor


def submission(operation: Operation[Any, Any] = RERANK) -> Submission:
    return Submission(id="job-1", operation=operation, owner="ann", token=7)


async def used(database: Database) -> dict[Ran, Amounts]:
    return await database.read(all_time)


async def in_two_stages(stages: Stages) -> Message:
    found = await stages.run("first", RERANK)
    await stages.run("second", RERANK)
    await stages("third", lambda: said(stages), str)
    return found


async def said(stages: Stages) -> str:
    events = [event async for event in stages.operations(CHAT)]
    return f"{len(events)} events"


@on_both
async def test_it_is_charged_to_the_token_and_the_user(database: Database) -> None:
    store = JobStore(database, "")
    await executor_of(store, Engines()).run(submission(), timeout_s=60)
    amounts = Amounts(requests=1, prompt_tokens=5, cost=5.0)
    assert await used(database) == {("a-rerank", ""): amounts}
    today = day_of((await store.get("job-1")).finished_at or 0)
    found = await database.read(lambda session: days_of_tokens(session, [7, 8], today))
    assert found == {7: {today: amounts}}


@on_both
async def test_a_job_that_is_resumed_counts_every_stage_once(database: Database) -> None:
    """The first process is killed in the third stage: the first two are not done again."""
    store, records = JobStore(database, ""), Records()
    first = Engines()
    dying = executor_of(store, first, name="first", records=records, perform=in_two_stages)
    await dying.submit(submission())
    await first.is_half_said.wait()
    await store.release("first")
    again = Engines()
    again.may_end.set()
    living = executor_of(store, again, name="second", records=records, perform=in_two_stages)
    await living.maintain()
    async with asyncio.timeout(60):
        while not (await store.get("job-1")).is_final:
            await asyncio.sleep(0.01)
    assert again.ran == ["chat"]
    # What the first one still does comes too late.
    first.may_end.set()
    while dying._runs:
        await asyncio.sleep(0.01)
    assert await used(database) == {
        ("a-rerank", ""): Amounts(requests=2, prompt_tokens=10, cost=10.0),
        ("a-chat", ""): Amounts(requests=1, prompt_tokens=3, completion_tokens=2, cached_tokens=1),
    }


async def test_a_job_that_fails_has_used_what_it_has_used(database: Database) -> None:
    async def failing(stages: Stages) -> Message:
        await stages.run("first", RERANK)
        raise InvalidRequest("no")

    store = JobStore(database, "")
    job = await executor_of(store, Engines(), perform=failing).run(submission(), timeout_s=60)
    assert job.status == "failed"
    assert (await used(database))["a-rerank", ""].prompt_tokens == 5


async def test_what_was_said_before_a_job_is_cancelled_counts(database: Database) -> None:
    """Of the prompt, which nobody has counted, about a token for four characters."""
    store, engines = JobStore(database, ""), Engines()

    async def chatting(stages: Stages) -> Message:
        await stages("chat", lambda: said(stages), str)
        return DONE

    executor = executor_of(store, engines, perform=chatting)
    await executor.submit(submission())
    await engines.is_half_said.wait()
    await executor.cancel("job-1")
    async with asyncio.timeout(60):
        while not (await store.get("job-1")).is_final:
            await asyncio.sleep(0.01)
    amounts = Amounts(requests=1, prompt_tokens=10, completion_tokens=2)
    assert await used(database) == {("a-chat", ""): amounts}


async def test_a_job_ends_once_and_is_charged_once(database: Database) -> None:
    store = JobStore(database, "")
    await store.add(submission(), queue="rerank", capacity=1, max_pending=1, executor="me")
    once = {("a-rerank", ""): Amounts(requests=1)}
    for _ in range(2):
        await store.finish(
            "job-1", "me", "succeeded", report=JobReport(JobProgress()), result=DONE, used=once
        )
    assert (await used(database))["a-rerank", ""].requests == 1


async def test_images_that_were_made_before_a_kill_count_once(
    database: Database, tmp_path: Path
) -> None:
    """They are kept, and not made again."""
    store, blobs = JobStore(database, ""), FsspecBlobStore(tmp_path / "blobs")

    def begun(name: str) -> tuple[GatedImages, JobExecutor]:
        images = GatedImages(blobs)
        catalog = Catalog(IMAGES, {"images": images}, statuses=no_statuses)  # type: ignore[dict-item]
        executor = JobExecutor(
            store,
            Leases(database, name),
            queues={"images": 1},
            queue_of=lambda _: "images",
            stages_of=lambda _: {"image.generation": 1.0},
            perform=OperationExecutor(IMAGES, catalog, blobs, ()),
            record=lambda _job, _result: no_files(),
            max_pending=10,
            stage_attempts=3,
            cancels_on_disconnect=True,
        )
        executor.use(PlainSteps(executor.perform))
        return images, executor

    operation = TextToImage(model="m", prompt="p", seed=40, count=4, can_end_early=True)
    killed, first = begun("first")
    await first.submit(submission(operation))
    await killed.reach(2)
    await store.release("first")
    again, second = begun("second")
    await second.maintain()
    for gate in again.may_end.values():
        gate.set()
    async with asyncio.timeout(60):
        while not (await store.get("job-1")).is_final:
            await asyncio.sleep(0.01)
    assert again.begun == [2, 3]
    for gate in killed.may_end.values():
        gate.set()
    while first._runs:
        await asyncio.sleep(0.01)
    assert (await used(database))["m", ""].images == 4


async def no_files() -> dict[str, str]:
    return {}
