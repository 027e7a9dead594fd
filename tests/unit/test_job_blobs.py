"""What finished stages have made stays as long as their job runs, however long that is."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pipelines.nested import NestedStage
from serve_app.blobs.references import referenced_among, sweep
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.speech import Speak, SpokenAudio
from serve_app.core.jobs import Job, Submission
from serve_app.core.media import Blob
from serve_app.core.stages import Stage
from serve_app.core.video.dubbing import DubVideo
from serve_app.database.connection import Database
from serve_app.jobs.executor import JobExecutor
from serve_app.jobs.leases import Leases
from serve_app.jobs.plain_steps import PlainSteps
from serve_app.jobs.store import JobStore
from serve_app.runtime.streams import once
from tests.databases import on_both

T = TypeVar("T")
WEEKEND_S = 3 * 24 * 3600.0


class RecordedSteps(PlainSteps):
    """Steps whose results outlive the process that made them."""

    def __init__(
        self, perform: Callable[[str], Awaitable[None]], *, record: dict[str, Any]
    ) -> None:
        super().__init__(perform)
        self._record = record

    async def step(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        if name not in self._record:
            self._record[name] = await work()
        done: T = self._record[name]
        return done

    def kill(self) -> None:
        for task in self._running:
            task.cancel()


class Work:
    """A job of two stages at once, which write, and one that reads what they wrote; a part of that
    one writes too.
    """

    def __init__(self, database: Database, folder: Path) -> None:
        self.blobs = FsspecBlobStore(folder)
        self.store = JobStore(database, self.blobs.url)
        self.record: dict[str, Any] = {}
        self.made: dict[str, Blob] = {}
        self.reached: dict[str, asyncio.Event] = {}
        self.passes = asyncio.Event()

    def begin(self, name: str) -> tuple[JobExecutor, RecordedSteps]:
        """A process that runs jobs."""
        executor = JobExecutor(
            self.store,
            Leases(self.store.database, name),
            queues={"speech": 1},
            queue_of=lambda _: "speech",
            stages_of=lambda _: {"left": 1.0, "right": 1.0, "joined": 1.0},
            perform=self.perform,
            record=self.entered,
            max_pending=10,
            stage_attempts=3,
            cancels_on_disconnect=True,
        )
        steps = RecordedSteps(executor.perform, record=self.record)
        executor.use(steps)
        return executor, steps

    async def perform(self, _operation: object, stage: Stage) -> SpokenAudio:
        left, right = await asyncio.gather(
            stage("left", lambda: self.written("left")),
            stage("right", lambda: self.written("right")),
        )
        return await stage("joined", lambda: self.joined(stage, left, right))

    async def entered(self, _job: Job, _result: object) -> dict[str, str]:
        await self.stop_at("the end")
        return {}

    async def written(self, text: str) -> dict[str, Any]:
        blob = await self.blobs.write(once(text.encode()), mime="text/plain")
        self.made[text] = blob
        return {"made": (blob, "in a value of any shape")}

    async def joined(self, stage: Stage, *parts: dict[str, Any]) -> SpokenAudio:
        inner = NestedStage(stage, "joined", DubVideo.model_construct())
        part = await inner("extract-audio", lambda: self.written("part"))
        await self.stop_at("the last stage")
        texts = [
            b"".join([chunk async for chunk in self.blobs.read(each["made"][0])])
            for each in (*parts, part)
        ]
        audio = await self.blobs.write(once(b" ".join(texts)), mime="audio/wav")
        self.made["result"] = audio
        return SpokenAudio(audio=audio, duration_s=1.0)

    async def stop_at(self, place: str) -> None:
        """Wait here until the process is killed or everything may pass."""
        if place in self.reached:
            self.reached[place].set()
            await self.passes.wait()

    async def sweep_after_a_weekend(self) -> None:
        """Everything was written three days ago."""
        then = time.time() - WEEKEND_S
        for path in Path(self.blobs.url).rglob("*.*"):
            os.utime(path, (then, then))
        await sweep(self.store.database, self.blobs.url)

    async def stored(self) -> set[str]:
        """What is there of what was made."""
        return {name for name, blob in self.made.items() if await self.blobs.find(blob.sha256)}


def submission() -> Submission:
    return Submission(id="job-1", operation=Speak(model="hum", text="x"), owner="me")


@on_both
@pytest.mark.parametrize("place", ["the last stage", "the end"])
async def test_a_job_that_is_interrupted_over_a_weekend_goes_on(
    database: Database, tmp_path: Path, place: str
) -> None:
    work = Work(database, tmp_path / "blobs")
    work.reached[place] = asyncio.Event()
    first, steps = work.begin("first")
    await first.submit(submission())
    await work.reached[place].wait()
    await work.sweep_after_a_weekend()
    assert await work.stored() == work.made.keys(), "one stage may take that long as well"
    steps.kill()
    await work.store.release("first")
    await work.sweep_after_a_weekend()
    work.passes.set()
    second, _ = work.begin("second")
    async with asyncio.timeout(60):
        while not (job := await work.store.get("job-1")).is_final:
            await second.maintain()
            await asyncio.sleep(0.01)
    assert (job.status, job.failure) == ("succeeded", None)
    result = b"".join([chunk async for chunk in work.blobs.read(work.made["result"])])
    assert result == b"left right part"
    await work.sweep_after_a_weekend()
    assert await work.stored() == {"result"}, "the rest is needed no more"
    await work.store.delete("job-1")
    assert await work.stored() == set()


@on_both
async def test_what_a_cancelled_job_had_made_is_let_go(database: Database, tmp_path: Path) -> None:
    work = Work(database, tmp_path / "blobs")
    work.reached["the last stage"] = asyncio.Event()
    executor, _ = work.begin("first")
    await executor.submit(submission())
    await work.reached["the last stage"].wait()
    hashes = [blob.sha256 for blob in work.made.values()]
    assert await database.read(lambda s: referenced_among(s, hashes)) == {*hashes}
    await executor.cancel("job-1")
    async with asyncio.timeout(60):
        while not (await work.store.get("job-1")).is_final:
            await asyncio.sleep(0.01)
    assert await database.read(lambda s: referenced_among(s, hashes)) == set()
    # A stage of a process that was taken for dead comes late.
    await work.store.hold_made("job-1", [*work.made.values()])
    assert await database.read(lambda s: referenced_among(s, hashes)) == set()
