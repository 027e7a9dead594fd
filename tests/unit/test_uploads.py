"""Uploads go some time after their last use, and nobody keeps more than their quota."""

import asyncio
import time
from functools import partial
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import select, text

from serve_app.blobs.references import hold, release
from serve_app.blobs.store import FsspecBlobStore, ObservedStore
from serve_app.blobs.uploads import NOTED_EVERY_S, Uploads
from serve_app.core.errors import NotFound, PayloadTooLarge
from serve_app.core.media import Blob
from serve_app.core.settings import DAY_S, Retention
from serve_app.database import migrate as migration
from serve_app.database.connection import Database
from serve_app.database.migrate import migrate
from serve_app.database.schema import BlobReferenceRow
from serve_app.runtime.streams import once
from tests.databases import on_both


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


def uploads_with(
    database: Database,
    store: FsspecBlobStore,
    clock: Clock,
    *,
    retention: Retention = "1w",
    quota: int | None = None,
) -> Uploads:
    return Uploads(database, store.url, retention=retention, quota_bytes=quota, clock=clock)


async def uploaded(
    uploads: Uploads, store: FsspecBlobStore, data: bytes, owner: str = "ann"
) -> Blob:
    observed = ObservedStore(store.url)
    blob = await observed.write(once(data), mime="image/png")
    await uploads.keep(blob, observed, owner=owner, param="file")
    return blob


def name_of(blob: Blob) -> str:
    return f"up-{blob.sha256}.png"


@on_both
async def test_an_upload_goes_a_week_after_its_last_use(
    database: Database, store: FsspecBlobStore, clock: Clock
) -> None:
    uploads = uploads_with(database, store, clock)
    used, unused = [await uploaded(uploads, store, data) for data in (b"used", b"unused")]
    clock.now += 5 * DAY_S
    assert await uploads.sweep() == 0
    await uploads.use(used)
    clock.now += 2 * DAY_S + NOTED_EVERY_S + 1
    assert await uploads.sweep() == 1
    assert await store.find(used.sha256) == used
    assert await store.find(unused.sha256) is None
    clock.now += 5 * DAY_S
    assert await uploads.sweep() == 1
    assert await store.find(used.sha256) is None
    assert await uploads.sweep() == 0


async def test_no_use_is_overlooked_because_another_was_just_noted(
    database: Database, store: FsspecBlobStore, clock: Clock
) -> None:
    uploads = uploads_with(database, store, clock)
    blob = await uploaded(uploads, store, b"used twice")
    clock.now += NOTED_EVERY_S - 1
    await uploads.use(blob)
    clock.now += 7 * DAY_S - 1
    assert await uploads.sweep() == 0


async def test_uploading_again_is_a_use(
    database: Database, store: FsspecBlobStore, clock: Clock
) -> None:
    uploads = uploads_with(database, store, clock)
    await uploaded(uploads, store, b"again")
    clock.now += 6 * DAY_S
    await uploaded(uploads, store, b"again")
    clock.now += 6 * DAY_S
    assert await uploads.sweep() == 0


async def test_uploads_can_be_kept_for_ever(
    database: Database, store: FsspecBlobStore, clock: Clock
) -> None:
    uploads = uploads_with(database, store, clock, retention="never")
    await uploaded(uploads, store, b"for ever")
    clock.now += 10_000 * DAY_S
    assert await uploads.sweep() == 0


async def test_many_go_in_one_sweep_and_what_is_held_stays(
    database: Database, store: FsspecBlobStore, clock: Clock
) -> None:
    uploads = uploads_with(database, store, clock)
    blobs = [await uploaded(uploads, store, b"%d" % n, owner=f"user {n % 3}") for n in range(450)]
    await uploaded(uploads, store, b"7", owner="another")
    await database.write(partial(hold, holder="job:1", blobs=blobs[:5]))
    clock.now += 8 * DAY_S
    assert await uploads.sweep() == 451
    there = [await store.find(blob.sha256) is not None for blob in blobs]
    assert there == [True] * 5 + [False] * 445


@on_both
async def test_the_last_owner_takes_the_bytes(
    database: Database, store: FsspecBlobStore, clock: Clock
) -> None:
    uploads = uploads_with(database, store, clock)
    blob = await uploaded(uploads, store, b"shared", owner="ann")
    assert await uploaded(uploads, store, b"shared", owner="ben") == blob
    await uploads.delete(name_of(blob), owner="ann")
    assert await store.find(blob.sha256) == blob
    with pytest.raises(NotFound):
        await uploads.delete(name_of(blob), owner="ann")
    await uploads.delete(name_of(blob), owner="ben")
    assert await store.find(blob.sha256) is None


@on_both
async def test_names_of_owners_are_no_patterns(
    database: Database, store: FsspecBlobStore, clock: Clock
) -> None:
    uploads = uploads_with(database, store, clock)
    blob = await uploaded(uploads, store, b"%", owner="a:b%_")
    for other in ("", "a", "a:b", "%", "a:b%", "a:b__"):
        with pytest.raises(NotFound):
            await uploads.delete(name_of(blob), owner=other)
    await uploads.delete(name_of(blob), owner="a:b%_")


@on_both
async def test_a_quota_counts_every_file_of_an_owner_once(
    database: Database, store: FsspecBlobStore, clock: Clock
) -> None:
    uploads = uploads_with(database, store, clock, quota=100)
    first = await uploaded(uploads, store, b"1" * 60)
    await uploaded(uploads, store, b"1" * 60)
    await uploaded(uploads, store, b"2" * 40)
    with pytest.raises(PayloadTooLarge, match=r"100 bytes.*100 are in use") as caught:
        await uploaded(uploads, store, b"3")
    assert caught.value.param == "file"
    await uploaded(uploads, store, b"3" * 100, owner="ben")
    await uploads.delete(name_of(first), owner="ann")
    await uploaded(uploads, store, b"4" * 60)


@on_both
async def test_uploads_at_once_do_not_pass_a_quota_together(
    database: Database, store: FsspecBlobStore, clock: Clock
) -> None:
    uploads = uploads_with(database, store, clock, quota=100)
    several = (uploaded(uploads, store, b"%d" % n * 40) for n in range(8))
    done = await asyncio.gather(*several, return_exceptions=True)
    assert sum(isinstance(one, Blob) for one in done) == 2
    files = [path for path in Path(store.url).rglob("*") if path.is_file()]
    assert len(files) == 2, "what was refused left nothing"


async def test_what_is_refused_stays_when_somebody_else_stored_it(
    database: Database, store: FsspecBlobStore, clock: Clock
) -> None:
    uploads = uploads_with(database, store, clock, quota=1)
    blob = await store.write(once(b"a request under way"), mime="image/png")
    with pytest.raises(PayloadTooLarge):
        await uploaded(uploads, store, b"a request under way")
    assert await store.find(blob.sha256) == blob
    # And when they stored it only after the one who is refused.
    observed = ObservedStore(store.url)
    mine = await observed.write(once(b"mine"), mime="image/png")
    assert await store.write(once(b"mine"), mime="image/png") == mine
    await uploads.drop(mine, observed)
    assert await store.find(mine.sha256) == mine


@on_both
async def test_uploads_of_before_count_from_the_migration_and_are_an_admins_to_delete(
    database: Database, store: FsspecBlobStore, clock: Clock
) -> None:
    blobs = [await store.write(once(data), mime="image/png") for data in (b"old", b"older")]
    await database.write(partial(hold, holder="upload", blobs=blobs))
    await database.write(partial(hold, holder="job:1", blobs=blobs[:1]))
    config = Config()
    config.set_main_option("script_location", str(Path(migration.__file__).parent / "migrations"))
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0002")
        columns = connection.execute(text("SELECT * FROM blob_references")).keys()
        assert "used_at" not in columns
    before = time.time()
    migrate(database)
    rows = await database.read(lambda session: session.scalars(select(BlobReferenceRow)).all())
    times = {(row.holder, row.sha256): row.used_at for row in rows}
    assert times.pop(("job:1", blobs[0].sha256)) is None
    assert all(at is not None and before <= at <= time.time() for at in times.values())
    assert len(times) == 2
    uploads = uploads_with(database, store, clock)
    assert await uploads.sweep() == 0
    with pytest.raises(NotFound):
        await uploads.delete(name_of(blobs[1]), owner="ann")
    await uploads.delete(name_of(blobs[1]), owner=None)
    assert await store.find(blobs[1].sha256) is None
    clock.now += 8 * DAY_S
    assert await uploads.sweep() == 1
    assert await store.find(blobs[0].sha256) == blobs[0]
    await database.write(partial(release, holder="job:1"))
