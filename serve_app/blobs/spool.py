"""`Spool`: bytes on their way into the blob store."""

import errno
import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

from serve_app.blobs.recognition import media_type
from serve_app.blobs.sniff import HEAD_BYTES
from serve_app.core.media import Blob

RESERVE_BYTES = 64 * 1024 * 1024
"""What stored files leave free of a disk, at most a twentieth of it: a database on the same disk
needs some room to delete anything.
"""


class Spool:
    """Bytes on their way in: a temporary file, the hash so far and the first bytes."""

    def __init__(self, folder: Path | None) -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".spool-", dir=folder)
        self.path = Path(name)
        self.file: IO[bytes] = os.fdopen(handle, "wb")
        self.hash = hashlib.sha256()
        self.head = b""
        self.size = 0

    def push(self, chunk: bytes) -> None:
        """Append. Blocks. OSError before the disk is quite full."""
        self._check_room(len(chunk))
        self.file.write(chunk)
        self.hash.update(chunk)
        self.size += len(chunk)
        if len(self.head) < HEAD_BYTES:
            self.head += chunk[: HEAD_BYTES - len(self.head)]

    def finish(self, mime: str | None) -> Blob:
        """Make it durable and name it. Blocks."""
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        found = mime or media_type(self.path, self.head)
        return Blob(sha256=self.hash.hexdigest(), mime=found, size=self.size)

    def _check_room(self, size: int) -> None:
        disk = os.fstatvfs(self.file.fileno())
        total = disk.f_blocks * disk.f_frsize
        reserve = min(RESERVE_BYTES, total // 20)
        if total and disk.f_bavail * disk.f_frsize < reserve + size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def discard(self) -> None:
        """Leave nothing behind."""
        # On a full disk closing fails at the last flush, and closes all the same.
        with suppress(OSError):
            self.file.close()
        self.path.unlink(missing_ok=True)
