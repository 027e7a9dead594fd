"""Blobs are shared: the last holder takes the bytes, and nobody takes what is written again."""

import os
import time
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path

import pytest

from serve_app.blobs.references import UnheldBlob, discard, hold, release, sweep
from serve_app.blobs.removal import BlobRemoval
from serve_app.blobs.store import FsspecBlobStore, filename
from serve_app.core.media import Blob
from serve_app.database.connection import Database
from tests.databases import on_both

LONG_AGO = time.time() - 1_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
def store(folder: Path) -> FsspecBlobStore:
    return FsspecBlobStore(folder)


async def chunks(data: bytes) -> AsyncGenerator[bytes]:
    yield data


async def held(store: FsspecBlobStore, database: Database, data: bytes, *holders: str) -> Blob:
    blob = await store.write(chunks(data), mime="text/plain")
    for holder in holders:
        await database.write(partial(hold, holder=holder, blobs=[blob]))
    return blob


async def let_go(
    store: FsspecBlobStore, database: Database, holder: str, *hashes: str
) -> list[UnheldBlob]:
    unheld = await database.write(partial(release, holder=holder, sha256s=hashes or None))
    await discard(database, store.url, unheld)
    return unheld


def path_of(folder: Path, blob: Blob) -> Path:
    return folder / blob.sha256[:2] / filename(blob)


def age(folder: Path, blob: Blob) -> None:
    os.utime(path_of(folder, blob), (LONG_AGO, LONG_AGO))


@on_both
async def test_bytes_stay_until_the_last_holder_goes(
    store: FsspecBlobStore, database: Database
) -> None:
    blob = await held(store, database, b"shared", "archive:a", "archive:b")
    assert await let_go(store, database, "archive:b") == []
    assert await store.find(blob.sha256) == blob
    await let_go(store, database, "archive:a")
    assert await store.find(blob.sha256) is None


@on_both
async def test_holding_twice_is_holding_once(store: FsspecBlobStore, database: Database) -> None:
    blob = await held(store, database, b"twice", "upload", "upload")
    await let_go(store, database, "upload")
    assert await store.find(blob.sha256) is None


async def test_a_holder_lets_go_of_some(store: FsspecBlobStore, database: Database) -> None:
    one = await held(store, database, b"one", "profile:1")
    two = await held(store, database, b"two", "profile:1")
    await let_go(store, database, "profile:1", one.sha256)
    assert await store.find(one.sha256) is None
    assert await store.find(two.sha256) == two


async def test_releasing_what_was_never_held_is_nothing(database: Database) -> None:
    assert await database.write(partial(release, holder="archive:x")) == []


async def test_equal_bytes_written_by_somebody_else_meanwhile_stay(
    store: FsspecBlobStore, database: Database
) -> None:
    """The second writer found the bytes stored and is about to hold them."""
    blob = await held(store, database, b"raced", "archive:a")
    assert await store.write(chunks(b"raced"), mime="text/plain") == blob
    await let_go(store, database, "archive:a")
    assert await store.find(blob.sha256) == blob


async def test_bytes_held_again_after_the_release_stay(
    store: FsspecBlobStore, database: Database
) -> None:
    blob = await held(store, database, b"again", "archive:a")
    unheld = await database.write(partial(release, holder="archive:a"))
    await database.write(partial(hold, holder="profile:1", blobs=[blob]))
    await discard(database, store.url, unheld)
    assert await store.find(blob.sha256) == blob


@on_both
async def test_a_sweep_repairs_a_kill_between_commit_and_removal(
    store: FsspecBlobStore, database: Database, folder: Path
) -> None:
    blob = await held(store, database, b"killed", "archive:a")
    kept = await held(store, database, b"kept", "archive:b")
    assert await database.write(partial(release, holder="archive:a"))
    assert await sweep(database, store.url) == 0, "younger than the grace period"
    age(folder, blob)
    age(folder, kept)
    assert await sweep(database, store.url) == 1
    assert await store.find(blob.sha256) is None
    assert await store.find(kept.sha256) == kept
    assert await sweep(database, store.url) == 0


async def test_storing_bytes_again_makes_them_young(
    store: FsspecBlobStore, database: Database, folder: Path
) -> None:
    blob = await held(store, database, b"young")
    age(folder, blob)
    await store.write(chunks(b"young"), mime="text/plain")
    assert await sweep(database, store.url) == 0
    assert await store.find(blob.sha256) == blob


async def test_a_sweep_clears_what_killed_writers_left(
    store: FsspecBlobStore, database: Database, folder: Path
) -> None:
    spool = folder / "spool"
    spool.mkdir(parents=True)
    old, new = spool / ".spool-old", spool / ".spool-new"
    old.write_bytes(b"half")
    new.write_bytes(b"half")
    os.utime(old, (LONG_AGO, LONG_AGO))
    await sweep(database, store.url)
    assert (old.exists(), new.exists()) == (False, True)


def test_bytes_that_turn_out_young_are_put_back(folder: Path) -> None:
    path = folder / "ab" / f"ab{'0' * 62}.txt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"young")
    removal = BlobRemoval(str(folder))
    assert removal.remove(path.stem, written_before=LONG_AGO) is False
    assert path.read_bytes() == b"young"
    assert removal.remove(path.stem, written_before=time.time() + 1) is True
    assert not path.exists()
    assert removal.remove(path.stem, written_before=0) is True
    assert list((folder / "spool").iterdir()) == []


async def test_an_object_store_is_swept_alike(tmp_path: Path, database: Database) -> None:
    store = FsspecBlobStore(f"memory://{tmp_path.name}-sweep")
    blob = await held(store, database, b"remote", "archive:a")
    assert await let_go(store, database, "archive:a")
    assert await store.find(blob.sha256) == blob, "its clock may be behind ours"
    assert await sweep(database, store.url, grace_s=-120) == 1
    assert await store.find(blob.sha256) is None
