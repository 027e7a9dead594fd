"""The blob store: content-addressed, atomic, the same on a directory and in memory."""

import asyncio
import pickle
import shutil
import tempfile
import threading
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from fsspec import AbstractFileSystem, register_implementation
from fsspec.implementations.memory import MemoryFileSystem

from serve_app.blobs.store import FsspecBlobStore, ObservedStore, filename
from serve_app.core.errors import BackendUnavailable, NotFound, PayloadTooLarge
from serve_app.core.media import Blob
from tests.disks import SMALL_DISK_BYTES

MIB = 1024**2
WAV = b"RIFF\x24\0\0\0WAVEfmt "


async def chunks(*parts: bytes) -> AsyncGenerator[bytes]:
    for part in parts:
        yield part


@pytest.fixture(params=["directory", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FsspecBlobStore:
    where = tmp_path / "blobs" if request.param == "directory" else f"memory://{tmp_path.name}"
    return FsspecBlobStore(where)


async def read_all(store: FsspecBlobStore, blob: Blob, **span: int) -> bytes:
    return b"".join([chunk async for chunk in store.read(blob, **span)])


async def test_equal_content_is_one_blob(store: FsspecBlobStore) -> None:
    one = await store.write(chunks(WAV, b"abc"))
    two = await store.write(chunks(WAV + b"a", b"bc"))
    assert one == two
    assert one.mime == "audio/wav"
    assert one.size == len(WAV) + 3
    assert await read_all(store, one) == WAV + b"abc"


async def test_ranges(store: FsspecBlobStore) -> None:
    blob = await store.write(chunks(b"0123456789"), mime="text/plain")
    assert await read_all(store, blob, start=2, end=5) == b"234"
    assert await read_all(store, blob, start=8) == b"89"
    assert await read_all(store, blob, start=8, end=100) == b"89"


async def test_found_by_hash_and_by_name(store: FsspecBlobStore) -> None:
    blob = await store.write(chunks(WAV))
    assert await store.find(blob.sha256) == blob
    assert await store.find_file(filename(blob)) == blob
    assert await store.find_file(f"up-{filename(blob)}") == blob
    assert await store.find("0" * 64) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        "../../etc/passwd",
        "x" * 10_000,
        "a\0b",
        "ｆile.wav",  # noqa: RUF001 - a look-alike
        "0" * 64,
        "0" * 64 + ".wav/..",
        "0" * 63 + "*.wav",
        "[0-9]" * 64 + ".wav",
    ],
)
async def test_unsafe_names_find_nothing(store: FsspecBlobStore, name: str) -> None:
    await store.write(chunks(WAV))
    assert await store.find_file(name) is None
    assert await store.find(name) is None


async def test_a_limit_stops_the_stream_and_leaves_nothing(tmp_path: Path) -> None:
    store = FsspecBlobStore(tmp_path)
    taken = 0

    async def endless() -> AsyncGenerator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"x" * 1000

    with pytest.raises(PayloadTooLarge):
        await store.write(endless(), limit=10_000)
    assert taken == 11
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


async def test_a_sender_that_fails_leaves_nothing(tmp_path: Path) -> None:
    store = FsspecBlobStore(tmp_path)

    async def breaks() -> AsyncGenerator[bytes]:
        yield b"half"
        raise ConnectionResetError

    with pytest.raises(BackendUnavailable):
        await store.write(breaks())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


async def test_a_full_disk_is_said_and_leaves_nothing(small_disk: Path) -> None:
    store = FsspecBlobStore(small_disk)
    kept = await store.write(chunks(WAV))
    for _ in range(3):
        with pytest.raises(BackendUnavailable, match="full"):
            await store.write(chunks(*[bytes(MIB)] * 4))
    assert [path for path in small_disk.rglob("*") if path.is_file()] == [
        small_disk / kept.sha256[:2] / filename(kept)
    ]
    assert await read_all(store, await store.write(chunks(bytes(MIB)))) == bytes(MIB)


async def test_the_last_twentieth_of_a_disk_is_left_free(small_disk: Path) -> None:
    store = FsspecBlobStore(small_disk)

    async def fill() -> None:
        for number in range(1000):
            await store.write(chunks(b"%d" % number + bytes(4096)))

    with pytest.raises(BackendUnavailable, match="full"):
        await fill()
    free = shutil.disk_usage(small_disk).free
    # A file takes whole pages of the disk.
    assert 0.05 * SMALL_DISK_BYTES - 4096 <= free < 0.06 * SMALL_DISK_BYTES


async def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"no directory")
    store = FsspecBlobStore(tmp_path / "file" / "blobs")
    with pytest.raises(BackendUnavailable, match="cannot write"):
        await store.write(chunks(WAV))


async def test_deleted_blobs_are_gone(store: FsspecBlobStore) -> None:
    blob = await store.write(chunks(WAV))
    await store.delete(blob)
    await store.delete(blob)
    assert await store.find(blob.sha256) is None
    with pytest.raises(NotFound):
        await read_all(store, blob)
    with pytest.raises(NotFound):
        async with store.local_file(blob):
            pass


async def test_local_files(store: FsspecBlobStore, tmp_path: Path) -> None:
    source = tmp_path / "in.bin"
    source.write_bytes(WAV * 10)
    blob = await store.write_file(source)
    async with store.local_file(blob) as path:
        assert path.read_bytes() == WAV * 10
    assert source.exists()


class SlowlyDownloaded(FsspecBlobStore):
    """Downloads when it may."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.is_asked, self.may_go_on, self.is_done = (threading.Event() for _ in range(3))

    def _download(self, blob: Blob, target: Path) -> None:
        self.is_asked.set()
        self.may_go_on.wait(60)
        super()._download(blob, target)
        self.is_done.set()


async def test_a_download_for_somebody_who_has_left_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    store = SlowlyDownloaded(f"memory://{tmp_path.name}")
    blob = await store.write(chunks(WAV))

    async def look() -> None:
        async with store.local_file(blob):
            raise AssertionError("nobody is there any more")

    looking = asyncio.create_task(look())
    await asyncio.to_thread(store.is_asked.wait)
    looking.cancel()
    await asyncio.sleep(0.05)
    store.may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await looking
    await asyncio.to_thread(store.is_done.wait)
    assert list(tmp_path.iterdir()) == []


class ListedFileSystem(MemoryFileSystem):
    """Keeps listings as object stores' file systems do: until something is written through it."""

    protocol = "listed"
    find = AbstractFileSystem.find

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return str(super()._strip_protocol(path.replace("listed://", "memory://")))

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        path = self._strip_protocol(path)
        if path not in self.dircache:
            self.dircache[path] = super().ls(path, detail=True, **options)
            return super().ls(path, detail=detail, **options)
        return [entry if detail else entry["name"] for entry in self.dircache[path]]


async def test_what_another_process_has_written_is_found(tmp_path: Path) -> None:
    register_implementation("listed", ListedFileSystem, clobber=True)
    here, elsewhere = FsspecBlobStore(f"listed://{tmp_path.name}"), f"memory://{tmp_path.name}"
    blob = await here.write(chunks(WAV))
    await here.delete(blob)
    MemoryFileSystem().pipe(f"/{tmp_path.name}/{blob.sha256[:2]}/neighbour.bin", b"x")
    assert await here.find(blob.sha256) is None
    await FsspecBlobStore(elsewhere).write(chunks(WAV))
    assert await here.find(blob.sha256) == blob


async def test_only_the_url_is_pickled(tmp_path: Path) -> None:
    store = FsspecBlobStore(tmp_path)
    blob = await store.write(chunks(WAV))
    copy = pickle.loads(pickle.dumps(store))
    assert await copy.find(blob.sha256) == blob


async def test_an_observed_store_tells_what_was_there(tmp_path: Path) -> None:
    first, second = ObservedStore(tmp_path), ObservedStore(tmp_path)
    await first.write(chunks(WAV))
    await second.write(chunks(WAV))
    assert (first.existed, second.existed) == (False, True)
