"""A content-addressed blob store over fsspec: a local directory or an object store.

Layout: `<first two hex digits>/<sha256>.<extension>`. A blob is spooled to a local temporary file
while it is hashed, and then moved into place in one step.
"""

import asyncio
import os
import re
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from typing_extensions import override

from serve_app.blobs.recognition import UNKNOWN
from serve_app.blobs.sniff import ALSO_NAMED, MIME_TYPES, extension_of
from serve_app.blobs.spool import Spool
from serve_app.core.errors import BackendUnavailable, NotFound, PayloadTooLarge
from serve_app.core.media import Blob, BlobStore
from serve_app.runtime.disks import FULL
from serve_app.runtime.threads import opened, to_its_end

CHUNK_BYTES = 1024 * 1024
FILE_NAME = re.compile(r"(?:up-)?([0-9a-f]{64})\.([a-z0-9]{1,8})")
SHA256 = re.compile(r"[0-9a-f]{64}")
FILES = "/v1/files"
"""The path that stored files are downloaded below, in whatever dialect they were made."""


def filename(blob: Blob) -> str:
    """The public name of a blob: its hash and the extension of its type."""
    return f"{blob.sha256}.{extension_of(blob.mime)}"


def place_of(url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system of a store's URL and the folder in it. What lies there is looked up anew each
    time: a listing that is kept would not show what other processes have written since.
    """
    filesystem, root = url_to_fs(url, use_listings_cache=False)
    return filesystem, cast("str", root).rstrip("/")


class FsspecBlobStore(BlobStore):
    """Satisfies BlobStore. Only the URL travels when it is pickled."""

    def __init__(self, url: str | Path) -> None:
        self.url = str(url)
        self._filesystem, self._root = place_of(self.url)
        self._is_local = isinstance(self._filesystem, LocalFileSystem)

    def __reduce__(self) -> tuple[Any, ...]:
        return FsspecBlobStore, (self.url,)

    @override
    async def write(
        self,
        chunks: AsyncIterable[bytes],
        *,
        mime: str | None = None,
        limit: int | None = None,
    ) -> Blob:
        try:
            async with opened(self._new_spool, Spool.discard) as spool:
                async for chunk in chunks:
                    if limit is not None and spool.size + len(chunk) > limit:
                        raise PayloadTooLarge(f"the file has more than the allowed {limit} bytes")
                    await asyncio.to_thread(spool.push, chunk)
                return await asyncio.to_thread(self._keep, spool, mime)
        except OSError as error:
            raise _storage_error(error) from error

    @override
    async def write_file(self, path: Path, *, mime: str | None = None) -> Blob:
        return await self.write(_file_chunks(path), mime=mime)

    @override
    async def read(
        self, blob: Blob, *, start: int = 0, end: int | None = None
    ) -> AsyncGenerator[bytes]:
        remaining = (blob.size if end is None else min(end, blob.size)) - start
        async with opened(partial(self._open, blob), _close) as file:
            await asyncio.to_thread(file.seek, start)
            while remaining > 0:
                data = await asyncio.to_thread(file.read, min(CHUNK_BYTES, remaining))
                if not data:
                    return
                remaining -= len(data)
                yield data

    async def has(self, blob: Blob) -> bool:
        """Whether the bytes are still here."""
        return bool(await asyncio.to_thread(self._filesystem.exists, self._path(blob)))

    @override
    async def find(self, sha256: str) -> Blob | None:
        if not SHA256.fullmatch(sha256):
            return None
        return await asyncio.to_thread(self._find, sha256, None)

    async def find_file(self, name: str) -> Blob | None:
        """The blob behind a public file name, None for an unknown or unsafe one."""
        match = FILE_NAME.fullmatch(name)
        if match is None:
            return None
        found = await asyncio.to_thread(self._find, match[1], match[2])
        if found is None and (own := ALSO_NAMED.get(match[2])):
            found = await asyncio.to_thread(self._find, match[1], own)
        return found

    async def delete(self, blob: Blob) -> None:
        """Remove the bytes; it is no error when they are gone."""
        await asyncio.to_thread(self._delete, blob)

    @override
    @asynccontextmanager
    async def local_file(self, blob: Blob) -> AsyncIterator[Path]:
        if self._is_local:
            path = Path(self._path(blob))
            if not await asyncio.to_thread(path.exists):
                raise _file_is_gone(blob)
            yield path
            return
        async with opened(partial(tempfile.mkdtemp, prefix="blob-"), _remove_folder) as folder:
            copy = Path(folder) / filename(blob)
            download = partial(self._download, blob, copy)
            await to_its_end(asyncio.get_running_loop().run_in_executor(None, download))
            yield copy

    def _new_spool(self) -> Spool:
        """On the store's own disk where that is local, so that keeping is a rename."""
        return Spool(Path(self._root) / "spool" if self._is_local else None)

    def _path(self, blob: Blob) -> str:
        return f"{self._root}/{blob.sha256[:2]}/{filename(blob)}"

    def _keep(self, spool: Spool, mime: str | None) -> Blob:
        blob = spool.finish(mime)
        target = self._path(blob)
        if self._exists(target) and self._is_refreshed(target):
            return blob
        if self._is_local:
            _make_folder(Path(target).parent)
            os.replace(spool.path, target)
            _sync_folder(Path(target).parent)
        else:
            # Object stores show an object only when its upload is complete.
            self._filesystem.put_file(str(spool.path), target)
        return blob

    def _exists(self, target: str) -> bool:
        return bool(self._filesystem.exists(target))

    def _is_refreshed(self, target: str) -> bool:
        """Whether the stored bytes now count as just written, so that nobody removes them who
        found them unneeded before. An object store has to be given them again.
        """
        if not self._is_local:
            return False
        try:
            # In the clock of those who remove; the file system's own is some milliseconds behind.
            now = time.time_ns()
            os.utime(target, ns=(now, now))
        except FileNotFoundError:
            return False
        return True

    def _find(self, sha256: str, extension: str | None) -> Blob | None:
        folder = f"{self._root}/{sha256[:2]}"
        try:
            names = self._filesystem.glob(f"{folder}/{sha256}.{extension or '*'}")
        except FileNotFoundError:
            return None
        if not names:
            return None
        # One that was stored before its type was known may lie beside it.
        path = min(map(str, names), key=lambda name: (name.endswith(extension_of(UNKNOWN)), name))
        mime = MIME_TYPES.get(path.rpartition(".")[2], UNKNOWN)
        return Blob(sha256=sha256, mime=mime, size=int(self._filesystem.size(path)))

    def _open(self, blob: Blob) -> IO[bytes]:
        try:
            return cast("IO[bytes]", self._filesystem.open(self._path(blob), "rb"))
        except FileNotFoundError:
            raise _file_is_gone(blob) from None

    def _download(self, blob: Blob, target: Path) -> None:
        try:
            self._filesystem.get_file(self._path(blob), str(target))
        except FileNotFoundError:
            raise _file_is_gone(blob) from None

    def _delete(self, blob: Blob) -> None:
        try:
            self._filesystem.rm_file(self._path(blob))
        except FileNotFoundError:
            return


class ObservedStore(FsspecBlobStore):
    """A store that tells whether the last blob written was there before, and when its bytes were
    complete (unix seconds); one per request.

    `existed` stays true while nothing is written, as for a reference to a stored blob.
    """

    existed = True
    written_at = 0.0

    def _exists(self, target: str) -> bool:
        # Before anybody else can find them, and so write them again.
        self.written_at = time.time()
        self.existed = super()._exists(target)
        return self.existed


async def _file_chunks(path: Path) -> AsyncGenerator[bytes]:
    async with opened(lambda: path.open("rb"), _close) as file:
        while data := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield data


def _close(file: IO[bytes]) -> None:
    file.close()


def _remove_folder(folder: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir()
    except FileExistsError:
        return
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """A rename survives a power cut only once its folder is on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _file_is_gone(blob: Blob) -> NotFound:
    return NotFound(f"the file {filename(blob)!r} is no longer stored")


def _storage_error(error: OSError) -> BackendUnavailable:
    if error.errno in FULL:
        return BackendUnavailable("the blob store is full", remedy="free space or enlarge it")
    return BackendUnavailable(f"cannot write to the blob store ({type(error).__name__})")
