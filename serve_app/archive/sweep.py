"""Removes what is too old, at start and every hour, in one process of the server."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from serve_app.archive.archive import Archive
from serve_app.blobs.references import GRACE_S, sweep
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.settings import RETENTION_S
from serve_app.database.connection import Database

logger = logging.getLogger(__name__)

INTERVAL_S = 3600.0
"""How often `sweep_once` is to be called."""


@dataclass(frozen=True)
class SweepCounts:
    """How many archive entries were too old, and how many blobs nobody held."""

    entries: int
    blobs: int


class ArchiveSweep:
    """Retention of the archive, and the repair of what kills left in the blob store."""

    def __init__(
        self,
        archive: Archive,
        database: Database,
        blobs: FsspecBlobStore,
        *,
        clock: Callable[[], float] = time.time,
        grace_s: float = GRACE_S,
    ) -> None:
        self._archive = archive
        self._database = database
        self._blobs = blobs
        self._clock = clock
        self._grace_s = grace_s

    async def sweep_once(self) -> SweepCounts:
        """Safe to call at any time, from any process; one that is killed is made up for by the
        next.
        """
        kept_s = RETENTION_S[(await self._archive.settings()).retention]
        entries = 0
        if kept_s is not None:
            entries = await self._archive.delete_before(self._clock() - kept_s)
        blobs = await sweep(self._database, self._blobs.url, grace_s=self._grace_s)
        # Last, because a store that is full takes no preview until something went.
        await self._archive.illustrate_all()
        if entries or blobs:
            logger.info("removed %d old archive entries and %d unneeded blobs", entries, blobs)
        return SweepCounts(entries, blobs)
