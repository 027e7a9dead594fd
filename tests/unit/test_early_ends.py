"""Jobs that end before all of their images are there."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from serve_app.blobs.store import FsspecBlobStore
from serve_app.catalog.catalog import Catalog
from serve_app.core.config import AppConfig
from serve_app.core.errors import Conflict, NotFound, UnsupportedCapability
from serve_app.core.image.images import Image, Images, Size, TextToImage
from serve_app.core.jobs import Job, Submission
from serve_app.core.media import Blob
from serve_app.core.message import Progress
from serve_app.core.operation import Operation
from serve_app.core.status import ModelStatus
from serve_app.database.connection import Database
from serve_app.jobs.assembly import OperationExecutor
from serve_app.jobs.executor import JobExecutor
from serve_app.jobs.leases import Leases
from serve_app.jobs.plain_steps import PlainSteps
from serve_app.jobs.store import JobStore
from tests.databases import on_both
from tests.images import chunks

SEED = 40


class GatedImages:
    """Makes image `n` when it may, and remembers which it was asked for."""

    def __init__(self, blobs: FsspecBlobStore) -> None:
        self._blobs = blobs
        self.begun: list[int] = []
        self.is_begun = asyncio.Event()
        self.may_end: dict[int, asyncio.Event] = {n: asyncio.Event() for n in range(8)}
        self.closed = 0

    async def run(self, operation: Operation[Any]) -> AsyncIterator[Any]:
        assert isinstance(operation, TextToImage)
        made = Images(images=())
        try:
            for number in operation.numbers:
                self.begun.append(number)
                self.is_begun.set()
                yield Progress(phase="denoise", current=number, total=operation.count)
                await self.may_end[number].wait()
                blob = await self._blobs.write(chunks(f"image {number}".encode()), mime="image/png")
                image = Image(image=blob, seed=SEED + number, size=Size(width=8, height=8))
                made = made.model_copy(update={"images": (*made.images, image)})
                yield made
        finally:
            self.closed += 1

    async def reach(self, number: int) -> None:
        """Let all before it end, and wait until it has begun."""
        for before in range(number):
            self.may_end[before].set()
        async with asyncio.timeout(20):
            while number not in self.begun:
                self.is_begun.clear()
                await self.is_begun.wait()


class ImagesCatalog(Catalog):
    """A catalog that runs everything on one engine."""

    def __init__(self, images: GatedImages) -> None:
        super().__init__(AppConfig(), {}, statuses=no_statuses)
        self._images = images

    def run(self, operation: Operation[Any]) -> Any:
        return self._images.run(operation)


async def no_statuses() -> dict[str, ModelStatus]:
    return {}


@pytest.fixture
async def engines(database: Database, tmp_path: Path) -> AsyncIterator[Callable[[], GatedImages]]:
    """Makes engines, whose jobs have all ended when the database is closed."""
    made: list[GatedImages] = []

    def make() -> GatedImages:
        made.append(GatedImages(FsspecBlobStore(tmp_path / "blobs")))
        return made[-1]

    yield make
    for engine in made:
        for gate in engine.may_end.values():
            gate.set()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        await asyncio.wait(left, timeout=20)


@pytest.fixture
def images(engines: Callable[[], GatedImages]) -> GatedImages:
    return engines()


def executor_of(store: JobStore, images: GatedImages, name: str = "me") -> JobExecutor:
    async def record(_job: Job, _result: object) -> dict[str, str]:
        return {}

    executor = JobExecutor(
        store,
        Leases(store.database, name),
        queues={"images": 1},
        queue_of=lambda _: "images",
        stages_of=lambda _: {"image.generation": 1.0},
        perform=OperationExecutor(AppConfig(), ImagesCatalog(images), images._blobs, ()),
        record=record,
        max_pending=10,
        stage_attempts=3,
        cancels_on_disconnect=True,
    )
    executor.use(PlainSteps(executor.perform))
    return executor


def submission(job_id: str = "job-1", **fields: Any) -> Submission:
    values = {"model": "m", "prompt": "p", "seed": SEED, "count": 4, "can_end_early": True}
    operation = TextToImage.model_validate(values | fields)
    return Submission(id=job_id, operation=operation, owner="me")


def numbers(job: Job) -> list[int]:
    assert isinstance(job.result, Images)
    return [image.seed - SEED for image in job.result.images]


async def test_a_job_that_is_finished_keeps_what_is_there(
    database: Database, images: GatedImages
) -> None:
    executor = executor_of(JobStore(database, ""), images)
    waiting = asyncio.create_task(executor.run(submission(), timeout_s=20))
    await images.reach(2)
    asked = await executor.finish("job-1")
    assert (asked.status, asked.asked_for) == ("running", "finish")
    job = await waiting
    assert (job.status, numbers(job), job.asked_for) == ("succeeded", [0, 1], None)
    assert [warning.text for warning in job.warnings] == ["ended early: 2 of 4 images"]
    assert (images.begun, images.closed) == ([0, 1, 2], 1)


async def test_before_the_first_image_there_is_nothing(
    database: Database, images: GatedImages
) -> None:
    executor = executor_of(JobStore(database, ""), images)
    waiting = asyncio.create_task(executor.run(submission(), timeout_s=20))
    await images.reach(0)
    await executor.finish("job-1")
    job = await waiting
    assert (job.status, numbers(job)) == ("succeeded", [])


async def test_a_skipped_image_is_left_out_and_the_next_keeps_its_seed(
    database: Database, images: GatedImages
) -> None:
    executor = executor_of(JobStore(database, ""), images)
    waiting = asyncio.create_task(executor.run(submission(), timeout_s=20))
    await images.reach(1)
    await executor.skip("job-1")
    await images.reach(2)
    for gate in images.may_end.values():
        gate.set()
    job = await waiting
    assert (job.status, numbers(job)) == ("succeeded", [0, 2, 3])
    assert isinstance(job.result, Images)
    assert job.result.skipped == (1,)
    assert images.begun == [0, 1, 2, 3]


async def test_a_batch_is_skipped_as_a_whole(database: Database, images: GatedImages) -> None:
    executor = executor_of(JobStore(database, ""), images)
    waiting = asyncio.create_task(executor.run(submission(batch_size=2), timeout_s=20))
    await images.reach(0)
    await executor.skip("job-1")
    await images.reach(2)
    for gate in images.may_end.values():
        gate.set()
    assert numbers(await waiting) == [2, 3]


@on_both
async def test_another_process_may_ask(database: Database, images: GatedImages) -> None:
    store = JobStore(database, "")
    executor = executor_of(store, images)
    waiting = asyncio.create_task(executor.run(submission(), timeout_s=20))
    await images.reach(1)
    await JobStore(database, "").early_ends.ask("job-1", "skip")
    await executor.maintain()
    await images.reach(2)
    await executor.maintain()
    await JobStore(database, "").early_ends.ask("job-1", "finish")
    await executor.maintain()
    job = await waiting
    assert numbers(job) == [0]
    assert isinstance(job.result, Images)
    assert job.result.skipped == (1,)


@on_both
async def test_what_is_there_outlives_its_process(
    database: Database, images: GatedImages, engines: Callable[[], GatedImages]
) -> None:
    store = JobStore(database, "")
    first = executor_of(store, images, "first")
    await first.submit(submission())
    await images.reach(1)
    await first.skip("job-1")
    await images.reach(2)
    # As after a kill: what the first one still does comes too late.
    await store.release("first")
    again = engines()
    second = executor_of(store, again, "second")
    await second.maintain()
    for gate in again.may_end.values():
        gate.set()
    async with asyncio.timeout(20):
        while not (job := await store.get("job-1")).is_final:
            await asyncio.sleep(0.01)
    assert again.begun == [2, 3]
    assert (job.status, numbers(job)) == ("succeeded", [0, 2, 3])


async def test_a_wish_outlives_the_process_that_was_to_do_it(
    database: Database, images: GatedImages, engines: Callable[[], GatedImages]
) -> None:
    store = JobStore(database, "")
    await executor_of(store, images, "first").submit(submission())
    await images.reach(1)
    await store.early_ends.ask("job-1", "finish")
    await store.release("first")
    again = engines()
    second = executor_of(store, again, "second")
    async with asyncio.timeout(20):
        while not (job := await store.get("job-1")).is_final:
            await second.maintain()
            await asyncio.sleep(0.01)
    assert (job.status, numbers(job)) == ("succeeded", [0])


async def test_a_job_that_waits_ends_at_once(database: Database, images: GatedImages) -> None:
    executor = executor_of(JobStore(database, ""), images)
    await executor.submit(submission())
    await executor.submit(submission("job-2"))
    assert (await executor.skip("job-2")).status == "queued"
    job = await executor.finish("job-2")
    assert (job.status, numbers(job)) == ("succeeded", [])
    with pytest.raises(Conflict, match="cannot end any earlier"):
        await executor.finish("job-2")


async def test_who_cannot_end_early(database: Database, images: GatedImages) -> None:
    executor = executor_of(JobStore(database, ""), images)
    await executor.submit(submission(can_end_early=False))
    with pytest.raises(UnsupportedCapability, match="cancel it instead"):
        await executor.finish("job-1")
    with pytest.raises(NotFound):
        await executor.skip("job-9")


def test_what_is_left_after_pieces() -> None:
    operation = submission(count=5, batch_size=2).operation
    assert isinstance(operation, TextToImage)
    blob = Blob(sha256="0" * 64, mime="image/png", size=1)
    made = Images(
        images=tuple(
            Image(image=blob, seed=SEED + n, size=Size(width=1, height=1)) for n in (0, 1, 3)
        )
    )
    rest = operation.rest_after(made)
    assert rest is not None
    assert rest.numbers == (2, 4)
    skipped = operation.skipping(made)
    assert skipped.skipped == (2,)
    last = operation.rest_after(operation.skipping(skipped))
    assert last is None
