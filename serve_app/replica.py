"""The deployment class of every family: one loaded engine, or several, behind a Serve handle.

It adds to an engine what all engines need in a replica: loading with a status, coalesced streams
and idle unloading. It knows no modality; verbs are those of the Protocols in `serve_app.core`.
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from serve_app.core.config import Family, Model
from serve_app.core.status import ModelStatus
from serve_app.core.streams import batched, joined
from serve_app.engine_pool import EnginePool, LoadEngine
from serve_app.garbage import collect_rarely
from serve_app.logs import log_to_stderr

STREAM_WINDOW_S = 0.02
IDLE_CHECK_S = 5.0


class Replica:
    """Runs the verbs of one family. `model_id` picks the engine of a family with several models."""

    def __init__(self, family: Family, load: LoadEngine, *, load_wait_s: float) -> None:
        log_to_stderr()
        collect_rarely()
        self._pool = EnginePool(
            family.models or (Model(id=family.name),),
            load,
            max_loaded=family.placement.max_loaded_models,
            idle_unload_s=family.placement.idle_unload_s,
            load_wait_s=load_wait_s,
        )
        self._sweeper: asyncio.Task[None] | None = None

    async def call(self, verb: str, model_id: str, *arguments: Any) -> Any:
        """Run a verb that answers once."""
        self._sweep()
        async with self._pool.use(model_id) as engine:
            return await getattr(engine, verb)(*arguments)

    async def stream(self, verb: str, model_id: str, *arguments: Any) -> AsyncGenerator[list[Any]]:
        """Run a verb that streams; its items come in lists."""
        self._sweep()
        async with self._pool.use(model_id) as engine:
            items = getattr(engine, verb)(*arguments)
            async for batch in batched(items, window_s=STREAM_WINDOW_S):
                yield joined(batch)

    async def status(self) -> tuple[ModelStatus, ...]:
        """The state of the family's models in this replica."""
        states = self._pool.status()
        if sum(state.state == "ready" for state in states) != 1:
            return states
        memory = {"memory_mb": resident_mb()}
        return tuple(
            state.model_copy(update=memory) if state.state == "ready" else state for state in states
        )

    async def load_model(self, model_id: str) -> ModelStatus:
        """Begin to load a model."""
        return self._pool.load(model_id)

    async def unload_model(self, model_id: str) -> ModelStatus:
        """Unload a model when nobody uses it."""
        return self._pool.unload(model_id)

    def _sweep(self) -> None:
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._unload_idle())

    async def _unload_idle(self) -> None:
        while True:
            await asyncio.sleep(IDLE_CHECK_S)
            await self._pool.unload_idle()


def resident_mb() -> float | None:
    """Memory of this process, where the system tells it as Linux does."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1024**2, 1)
