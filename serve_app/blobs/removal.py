"""Removing stored bytes that nobody needs, without taking those that somebody just wrote again."""

import contextlib
import os
import time
import uuid
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem

from serve_app.blobs.store import SHA256, place_of

GROUP = 500
CLOCK_SKEW_S = 60.0
"""How far the clock of an object store may be behind ours."""


class BlobRemoval:
    """Looks at the bytes of a blob store's URL. Every method blocks. Times are unix seconds."""

    def __init__(self, url: str) -> None:
        self._filesystem, self._root = place_of(url)
        self._is_local = isinstance(self._filesystem, LocalFileSystem)

    def remove(self, sha256: str, *, written_before: float) -> bool:
        """Remove the bytes of a hash, unless they were written since; whether they are gone now.

        Whoever stores the same bytes meanwhile finds them, or finds them missing and writes them.
        """
        paths = self._glob(f"{self._root}/{sha256[:2]}/{sha256}.*")
        take = self._take_local if self._is_local else self._take_remote
        left = [path for path in paths if not take(path, written_before)]
        return not left

    def older_than(self, written_before: float) -> Iterator[list[str]]:
        """The hashes of all blobs last written before then, in groups of `GROUP`."""
        for folder in (f"{self._root}/{number:02x}" for number in range(256)):
            found = {
                name
                for path in self._glob(f"{folder}/*.*")
                if SHA256.fullmatch(name := path.rpartition("/")[2].partition(".")[0])
                and self._written_at(path) < written_before
            }
            hashes = sorted(found)
            for start in range(0, len(hashes), GROUP):
                yield hashes[start : start + GROUP]

    def clear_spool(self, written_before: float) -> int:
        """Remove what writers that were killed left half written; how many."""
        spool = Path(self._root) / "spool"
        if not self._is_local or not spool.is_dir():
            return 0
        left = chain(spool.glob(".spool-*"), spool.glob(".gone-*"))
        stale = [path for path in left if self._written_at(str(path)) < written_before]
        for path in stale:
            path.unlink(missing_ok=True)
        return len(stale)

    def _glob(self, pattern: str) -> list[str]:
        try:
            return [str(path) for path in self._filesystem.glob(pattern)]
        except FileNotFoundError:
            return []

    def _written_at(self, path: str) -> float:
        """Now, for what vanished meanwhile."""
        try:
            if self._is_local:
                return os.stat(path).st_mtime
            return float(self._filesystem.modified(path).timestamp()) + CLOCK_SKEW_S
        except FileNotFoundError:
            return time.time()

    def _take_local(self, path: str, written_before: float) -> bool:
        """Taken aside first, so that a writer either made it younger before or sees it missing."""
        aside = Path(self._root) / "spool" / f".gone-{uuid.uuid4().hex}"
        aside.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(path, aside)
        except FileNotFoundError:
            return True
        is_old = aside.stat().st_mtime <= written_before
        if not is_old and not os.path.exists(path):
            os.rename(aside, path)
        aside.unlink(missing_ok=True)
        return is_old

    def _take_remote(self, path: str, written_before: float) -> bool:
        if self._written_at(path) > written_before:
            return False
        with contextlib.suppress(FileNotFoundError):
            self._filesystem.rm_file(path)
        return True
