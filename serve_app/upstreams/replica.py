"""The deployment class `upstreams`, which calls providers. It has the verbs of a family's replica,
so that both are called over the same kind of handle.
"""

import os
from collections.abc import AsyncGenerator
from typing import Any

from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import UPSTREAMS, AppConfig
from serve_app.core.costs import BusyTime
from serve_app.core.operation import Operation
from serve_app.core.status import ModelStatus
from serve_app.core.upstreams.directory import ProviderListing
from serve_app.core.upstreams.hops import HOPS, hopped
from serve_app.database.connection import Database
from serve_app.runtime.garbage import collect_garbage_rarely
from serve_app.runtime.logs import log_no_calls, log_to_stderr
from serve_app.runtime.streams import batched, closing, condensed, joined
from serve_app.runtime.temporary_files import use_own_temporary_folder
from serve_app.runtime.unexpected import only_expected, unexpected_errors
from serve_app.upstreams.assembly import upstream_runner
from serve_app.upstreams.encryption_keys import key_ring
from serve_app.upstreams.live import LiveProviders

STREAM_WINDOW_S = 0.02


class UpstreamsReplica:
    """Runs operations at providers, and reads their lists of models."""

    def __init__(self, config: AppConfig) -> None:
        log_to_stderr()
        log_no_calls()
        collect_garbage_rarely()
        use_own_temporary_folder()
        database = Database(config.storage.database_location)
        ring = key_ring(os.environ, config.storage.data_dir)
        blobs = FsspecBlobStore(config.storage.blobs_location)
        self._runner = upstream_runner(config, LiveProviders(database, ring), blobs)

    async def call(
        self, _verb: str, _model_id: str, operation: Operation[Any], hops: int = 0
    ) -> Any:
        """Run an operation that answers once."""
        answer, _ = await self.metered_call(_verb, _model_id, operation, hops)
        return answer

    async def metered_call(
        self, _verb: str, _model_id: str, operation: Operation[Any], hops: int = 0
    ) -> tuple[Any, BusyTime]:
        """The same, with what it has cost here, where no device is."""
        items = await self.gather(_verb, _model_id, operation, hops)
        return items[-1], BusyTime(device_s=0)

    async def gather(
        self, _verb: str, _model_id: str, operation: Operation[Any], hops: int = 0
    ) -> list[Any]:
        """Run an operation for a caller who has no use for an item before the last."""
        with hopped(hops), unexpected_errors(repr(UPSTREAMS), provider=UPSTREAMS):
            return await condensed(self._runner.run(operation))

    async def metered_gather(
        self, _verb: str, _model_id: str, operation: Operation[Any], hops: int = 0
    ) -> tuple[list[Any], BusyTime]:
        """The same, with what it has cost here."""
        return await self.gather(_verb, _model_id, operation, hops), BusyTime(device_s=0)

    async def stream(
        self,
        _verb: str,
        _model_id: str,
        operation: Operation[Any],
        hops: int = 0,
    ) -> AsyncGenerator[list[Any]]:
        """Run an operation whose items come in lists."""
        # Not taken back: a generator may be closed in another context than it has begun in, and
        # every call has a task of its own.
        HOPS.set(hops)
        items = batched(self._runner.run(operation), window_s=STREAM_WINDOW_S)
        batches = only_expected(items, repr(UPSTREAMS), provider=UPSTREAMS)
        async with closing(batches):
            async for batch in batches:
                yield joined(batch)

    async def metered_stream(
        self, _verb: str, _model_id: str, operation: Operation[Any], hops: int = 0
    ) -> AsyncGenerator[list[Any]]:
        """The same; the cost is nothing."""
        batches = self.stream(_verb, _model_id, operation, hops)
        async with closing(batches):
            async for batch in batches:
                yield batch

    async def listings(self, provider: str | None = None) -> tuple[ProviderListing, ...]:
        """What providers list now."""
        with unexpected_errors(repr(UPSTREAMS), provider=UPSTREAMS):
            return await self._runner.listings(provider)

    async def status(self) -> tuple[ModelStatus, ...]:
        """Nothing is loaded here."""
        return ()
