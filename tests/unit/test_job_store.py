"""The table of jobs: in order within the room there is, and one outcome whoever comes at once."""

import asyncio
import math
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from serve_app.blobs.references import referenced_among
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.speech import Speak, SpokenAudio
from serve_app.core.audio.transcription import Transcribe
from serve_app.core.errors import AppError, Conflict, NotFound, QueueFull
from serve_app.core.jobs import Job, JobProgress, StageState, Submission, failure_of
from serve_app.core.media import Blob
from serve_app.core.text.rerank import Relevance, Rerank
from serve_app.database.__main__ import main
from serve_app.database.connection import Database
from serve_app.database.copy import TargetNotEmpty, copy
from serve_app.database.migrate import migrate
from serve_app.database.schema import JobRow
from serve_app.jobs.store import MOST_ATTEMPTS, JobReport, JobStore
from tests.databases import opened
from tests.servers import DatabaseServer

DONE = JobReport(JobProgress(percent=100.0), (StageState(name="speak", status="succeeded"),))
WAVE = b"RIFF\x24\x00\x00\x00WAVEfmt "


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path, migrated: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        file = shutil.copyfile(migrated, tmp_path / "polyphony.sqlite")
        database = opened(file)
    else:
        server: DatabaseServer = request.getfixturevalue("postgres")
        database = Database(server.new_database("jobs"))
        migrate(database)
    yield database
    database.close()


@pytest.fixture
def store(database: Database, tmp_path: Path) -> JobStore:
    return JobStore(database, str(tmp_path / "blobs"))


def submission(number: int, **fields: object) -> Submission:
    values = {"operation": Speak(model="hum", text=f"{number}"), "owner": "me"} | fields
    return Submission.model_validate({"id": f"job-{number}"} | values)


async def add(
    store: JobStore, number: int, *, executor: str = "first", pending: int = 100, **fields: object
) -> bool:
    """Whether the job starts at once, in a queue with room for two."""
    job, starts = await store.add(
        submission(number, **fields),
        queue="speech",
        capacity=2,
        max_pending=pending,
        executor=executor,
    )
    assert (job.status == "running") == starts
    return starts


async def test_jobs_start_while_there_is_room_and_then_in_order(store: JobStore) -> None:
    assert [await add(store, number) for number in range(5)] == [True, True, False, False, False]
    assert await store.claim("speech", capacity=2, executor="first") == ()
    assert [(await store.get(f"job-{n}")).position for n in (2, 3, 4)] == [1, 2, 3]
    await store.finish("job-0", "first", "succeeded", report=DONE)
    assert await store.claim("speech", capacity=2, executor="second") == ("job-2",)
    assert (await store.get("job-3")).position == 1


async def test_the_unfinished_jobs_of_queues_are_found(store: JobStore) -> None:
    for number in range(4):
        await add(store, number)
    await store.finish("job-0", "first", "succeeded", report=DONE)
    found = await store.unfinished(["images", "speech"], limit=2)
    assert found == {"speech": ("job-1", "job-2")}


async def test_nobody_jumps_the_line(store: JobStore) -> None:
    """A job that comes when there is room waits while others wait."""
    for number in range(3):
        await add(store, number)
    await store.finish("job-0", "first", "succeeded", report=DONE)
    assert not await add(store, 3)
    assert await store.claim("speech", capacity=2, executor="first") == ("job-2",)


async def test_handing_in_twice_is_one_job(store: JobStore) -> None:
    assert await add(store, 1)
    assert (
        await store.add(submission(1), queue="speech", capacity=2, max_pending=1, executor="other")
    )[1] is False
    assert (await store.get("job-1")).number == 1


async def test_many_who_claim_at_once_never_exceed_the_room(
    store: JobStore, database: Database
) -> None:
    for number in range(12):
        await add(store, number, executor="first")
    claimed: list[str] = []

    def claim(executor: str) -> None:
        import asyncio

        claimed.extend(asyncio.run(store.claim("speech", capacity=7, executor=executor)))

    threads = [threading.Thread(target=claim, args=(f"executor-{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == [f"job-{n}" for n in range(2, 7)]
    states = database.read_now(lambda s: s.scalars(select(JobRow.status)).all())
    assert list(states).count("running") == 7


async def test_a_full_queue_refuses_and_keeps_nothing(store: JobStore) -> None:
    for number in range(3):
        await add(store, number, pending=1)
    with pytest.raises(QueueFull, match="'speech'"):
        await add(store, 3, pending=1)
    with pytest.raises(NotFound):
        await store.get("job-3")


async def test_a_ref_id_is_its_owners(store: JobStore) -> None:
    await add(store, 1, ref_id="mine")
    with pytest.raises(Conflict, match="'mine'"):
        await add(store, 2, ref_id="mine")
    await add(store, 3, ref_id="mine", owner="you")
    assert (await store.get("mine", owner="you")).id == "job-3"
    assert (await store.get("mine", owner="me")).id == "job-1"
    with pytest.raises(NotFound):
        await store.get("mine", owner="they")


async def test_finish_and_cancel_at_once_have_one_outcome(store: JobStore) -> None:
    """Whoever is first decides; the others change nothing."""
    for number in range(8):
        await add(store, number)
        outcomes: list[object] = []

        def finish(job_id: str = f"job-{number}", seen: list[object] = outcomes) -> None:
            ended = asyncio.run(store.finish(job_id, "first", "succeeded", report=DONE))
            seen.append(ended and ended.status)

        def cancel(job_id: str = f"job-{number}", seen: list[object] = outcomes) -> None:
            failure = failure_of(AppError("cancelled"))
            ended = asyncio.run(
                store.finish(job_id, "first", "cancelled", report=DONE, failure=failure)
            )
            seen.append(ended and ended.status)

        threads = [threading.Thread(target=work) for work in (finish, cancel, finish, cancel)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        won = [outcome for outcome in outcomes if outcome is not None]
        assert len(won) == 1
        assert (await store.get(f"job-{number}")).status == won[0]


async def test_a_dead_executors_jobs_are_claimed_first_and_its_late_word_is_dropped(
    store: JobStore,
) -> None:
    for number in range(4):
        await add(store, number, executor="dead")
    assert await store.release("dead") == 2
    assert await store.claim("speech", capacity=2, executor="alive") == ("job-0", "job-1")
    await store.report("job-0", "dead", JobReport(JobProgress(current=7)))
    assert await store.finish("job-0", "dead", "failed", report=DONE) is None
    job = await store.get("job-0")
    assert (job.status, job.progress.current) == ("running", 0)
    assert await store.finish("job-0", "alive", "succeeded", report=DONE) is not None


async def test_a_lost_job_can_be_cancelled(store: JobStore) -> None:
    await add(store, 1, executor="dead")
    await store.release("dead")
    assert (await store.request_cancel("job-1")).status == "cancelled"
    assert await store.take("job-1", "alive") is None


async def test_jobs_hold_their_blobs_until_they_are_forgotten(
    database: Database, tmp_path: Path
) -> None:
    now = [1000.0]
    blobs = FsspecBlobStore(tmp_path / "blobs")
    store = JobStore(database, blobs.url, clock=lambda: now[0])

    async def written(data: bytes) -> Blob:
        async def chunks():  # type: ignore[no-untyped-def]
            yield WAVE + data

        return await blobs.write(chunks())

    heard, spoken = await written(b"in"), await written(b"out")
    operation = Transcribe(model="ears", audio=heard)
    await add(store, 1, operation=operation, callback_url="https://example.com/")
    await add(store, 2, operation=operation)
    audio = SpokenAudio(audio=spoken, duration_s=1)
    await store.finish("job-1", "first", "failed", report=DONE)
    await add(store, 3)
    await store.finish(
        "job-3", "first", "succeeded", report=DONE, result=audio, files={spoken.sha256: "f.wav"}
    )
    assert (await store.get("job-3")).files == {spoken.sha256: "f.wav"}
    hashes = [heard.sha256, spoken.sha256]
    assert database.read_now(lambda s: referenced_among(s, hashes)) == set(hashes)
    now[0] = 5000.0
    # The first job's callback is still due, the second one runs.
    assert await store.forget_finished(4000.0) == ("job-3",)
    assert await blobs.find(spoken.sha256) is None
    assert await blobs.find(heard.sha256) == heard
    await store.finish("job-2", "first", "succeeded", report=DONE)
    assert await store.forget_finished(4000.0) == ()
    assert await store.forget_finished(6000.0) == ("job-2",)
    assert await blobs.find(heard.sha256) == heard


async def test_everything_moves_from_sqlite_to_postgres(
    tmp_path: Path, postgres: DatabaseServer
) -> None:
    source = Database(f"sqlite:///{tmp_path / 'old.sqlite'}")
    target = Database(postgres.new_database("moved"))
    try:
        migrate(source)
        old = JobStore(source, str(tmp_path / "blobs"))
        for number in range(4):
            await add(old, number, ref_id=f"ref-{number}", tag="ünïcode")
        assert copy(source, target)["jobs"] == 4
        new = JobStore(target, str(tmp_path / "blobs"))
        for number in range(4):
            moved, kept = await new.get(f"job-{number}"), await old.get(f"job-{number}")
            assert moved == kept
        assert await new.claim("speech", capacity=2, executor="new") == ("job-0", "job-1")
        await add(new, 9)
        assert (await new.get("job-9")).number == 5
        with pytest.raises(TargetNotEmpty, match="'jobs'"):
            copy(source, target)
        assert main(["copy", source.url, target.url]) == 1
        assert main(["copy", source.url, postgres.new_database("by_command")]) == 0
    finally:
        source.close()
        target.close()


async def test_a_job_that_kills_every_process_is_given_up(store: JobStore) -> None:
    await add(store, 1, executor="e1")
    for number in range(2, MOST_ATTEMPTS + 1):
        await store.release(f"e{number - 1}")
        assert await store.claim("speech", capacity=2, executor=f"e{number}") == ("job-1",)
    await store.release(f"e{MOST_ATTEMPTS}")
    assert await store.claim("speech", capacity=2, executor="last") == ()
    job = await store.get("job-1")
    assert job.status == "failed"
    assert job.failure is not None
    assert f"died {MOST_ATTEMPTS} times" in job.failure.message


async def test_cancel_finish_and_delete_at_once_have_one_outcome(
    database: Database, tmp_path: Path
) -> None:
    """Three replicas, each with connections of its own; whatever they are told agrees with what is
    there afterwards.
    """
    replicas = [JobStore(Database(database.url), str(tmp_path / "blobs")) for _ in range(3)]
    try:
        for number in range(12):
            await add(replicas[0], number)
            job_id = f"job-{number}"
            ended, cancelled, deleted = await asyncio.gather(
                replicas[0].finish(job_id, "first", "succeeded", report=DONE),
                replicas[1].request_cancel(job_id),
                replicas[2].delete(job_id),
                return_exceptions=True,
            )
            assert isinstance(ended, Job)
            assert ended.status == "succeeded"
            # Asked in time it was told to stop, and ended first; too late, it was finished or gone.
            assert isinstance(cancelled, Job | Conflict | NotFound)
            assert deleted is None or isinstance(deleted, Conflict)
            if deleted is None:
                with pytest.raises(NotFound):
                    await replicas[1].get(job_id)
            else:
                assert (await replicas[1].get(job_id)).status == "succeeded"
                await replicas[1].delete(job_id)
    finally:
        for replica in replicas:
            replica.database.close()


async def test_numbers_that_json_has_not_are_kept(store: JobStore) -> None:
    await add(store, 0, operation=Rerank(model="m", query="q", documents=("a", "b")))
    result = Relevance(scores=(math.nan, -math.inf), prompt_tokens=1)
    await store.finish("job-0", "first", "succeeded", report=DONE, result=result)
    kept = (await store.get("job-0")).result
    assert isinstance(kept, Relevance)
    assert math.isnan(kept.scores[0])
    assert kept.scores[1] == -math.inf
