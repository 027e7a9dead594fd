"""The deployment class of every family: one loaded engine, or several, behind a Serve handle.

It adds to an engine what all engines need in a replica: loading with a status, coalesced streams,
idle unloading and what follows when memory runs out. It knows no modality; verbs are those of the
Protocols in `serve_app.core`.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from typing import Any

from serve_app.core.config import Family, Model
from serve_app.core.costs import BusyTime
from serve_app.core.errors import AppError, BackendUnavailable
from serve_app.core.status import ModelStatus
from serve_app.family.model_routing import announcer
from serve_app.family.pool import EnginePool, Loader
from serve_app.runtime.garbage import collect_garbage_rarely
from serve_app.runtime.logs import log_no_calls, log_to_stderr
from serve_app.runtime.memory import (
    free_memory,
    is_device_lost,
    is_out_of_memory,
    return_freed_memory,
)
from serve_app.runtime.streams import batched, closing, condensed, joined
from serve_app.runtime.temporary_files import use_own_temporary_folder
from serve_app.runtime.unexpected import only_expected, unexpected_errors

logger = logging.getLogger(__name__)

STREAM_WINDOW_S = 0.02
IDLE_CHECK_S = 1.0


class Replica:
    """Runs the verbs of one family. `model_id` picks the engine of a family with several models."""

    def __init__(
        self, family: Family, make_loader: Callable[[Family], Loader], *, load_wait_s: float
    ) -> None:
        log_to_stderr()
        log_no_calls()
        collect_garbage_rarely()
        use_own_temporary_folder()
        self._name = family.name
        self._pool = EnginePool(
            family.models or (Model(id=family.name),),
            make_loader(family),
            max_loaded=family.placement.max_loaded_models,
            idle_unload_s=family.placement.idle_unload_s,
            load_wait_s=load_wait_s,
            changed=announcer() if len(family.models) > 1 else lambda _: None,
        )
        self._sweeper: asyncio.Task[None] | None = None
        self._lost: str | None = None
        self._users = 0
        self._used_at: float | None = None

    async def call(self, verb: str, model_id: str, *arguments: Any) -> Any:
        """Run a verb that answers once."""
        answer, _ = await self.metered_call(verb, model_id, *arguments)
        return answer

    async def stream(self, verb: str, model_id: str, *arguments: Any) -> AsyncGenerator[list[Any]]:
        """Run a verb that streams; its items come in lists."""
        batches = self._batches(verb, model_id, arguments)
        async with closing(batches):
            async for batch in batches:
                yield batch

    async def metered_call(self, verb: str, model_id: str, *arguments: Any) -> tuple[Any, BusyTime]:
        """Run a verb that answers once, and say what it cost."""
        with self._named_errors():
            async with self._using(model_id) as engine:
                begun = time.monotonic()
                answer = await getattr(engine, verb)(*arguments)
                return answer, BusyTime(device_s=time.monotonic() - begun)

    async def metered_stream(
        self, verb: str, model_id: str, *arguments: Any
    ) -> AsyncGenerator[list[Any]]:
        """Run a verb that streams; the last item is what it cost."""
        batches = self._batches(verb, model_id, arguments, is_metered=True)
        async with closing(batches):
            async for batch in batches:
                yield batch

    async def gather(self, verb: str, model_id: str, *arguments: Any) -> list[Any]:
        """Run a verb that streams, for a caller who has no use for an item before the last."""
        items, _ = await self.metered_gather(verb, model_id, *arguments)
        return items

    async def metered_gather(
        self, verb: str, model_id: str, *arguments: Any
    ) -> tuple[list[Any], BusyTime]:
        """The same, and what it cost."""
        with self._named_errors():
            async with self._using(model_id) as engine:
                begun = time.monotonic()
                items = await condensed(getattr(engine, verb)(*arguments))
                return items, BusyTime(device_s=time.monotonic() - begun)

    async def status(self) -> tuple[ModelStatus, ...]:
        """The state of the family's models in this replica."""
        with self._named_errors():
            return self._pool.status()

    async def load_model(self, model_id: str) -> ModelStatus:
        """Begin to load a model."""
        with self._named_errors():
            self._sweep()
            return self._pool.load(model_id)

    async def unload_model(self, model_id: str) -> ModelStatus:
        """Unload a model when nobody uses it."""
        with self._named_errors():
            return self._pool.unload(model_id)

    async def check_health(self) -> None:
        """Called by Serve, which replaces a replica that raises."""
        if self._lost is not None:
            raise RuntimeError(self._lost)

    def _named_errors(self) -> AbstractContextManager[None]:
        """What leaves this replica is one of our errors, made here."""
        return unexpected_errors(repr(self._name), provider=self._name)

    def _batches(
        self, verb: str, model_id: str, arguments: tuple[Any, ...], *, is_metered: bool = False
    ) -> AsyncGenerator[list[Any]]:
        batches = self._streamed(verb, model_id, arguments, is_metered=is_metered)
        return only_expected(batches, repr(self._name), provider=self._name)

    async def _streamed(
        self, verb: str, model_id: str, arguments: tuple[Any, ...], *, is_metered: bool
    ) -> AsyncGenerator[list[Any]]:
        async with self._using(model_id) as engine:
            begun = time.monotonic()
            batches = batched(getattr(engine, verb)(*arguments), window_s=STREAM_WINDOW_S)
            async with closing(batches):
                async for batch in batches:
                    yield joined(batch)
            if is_metered:
                yield [BusyTime(device_s=time.monotonic() - begun)]

    @asynccontextmanager
    async def _using(self, model_id: str) -> AsyncGenerator[Any]:
        self._sweep()
        self._users += 1
        try:
            with self._memory_watched(model_id):
                async with self._pool.use(model_id) as engine:
                    yield engine
        finally:
            self._users -= 1
            self._used_at = time.monotonic()

    @contextmanager
    def _memory_watched(self, model_id: str) -> Generator[None]:
        """Running out of memory is the error of one request, after which the memory is free; a
        process that has lost its GPU is replaced.
        """
        try:
            yield
            return
        except Exception as error:
            if is_device_lost(error):
                self._lost = f"this process has lost its GPU: {error}"
            if not is_out_of_memory(error):
                raise
            logger.warning("model %r ran out of memory: %s", model_id, error)
        # Only here, where the error with its frames is gone, can their tensors be freed.
        free_memory()
        raise BackendUnavailable(
            f"model {model_id!r} ran out of memory",
            remedy="send a smaller request",
            provider=model_id,
            code="out_of_memory",
        )

    def _sweep(self) -> None:
        if self._sweeper is None:
            self._sweeper = asyncio.create_task(self._tidy())

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(IDLE_CHECK_S)
            # An engine that cannot be closed must not keep the others from it.
            with suppress(AppError), self._named_errors():
                await self._pool.unload_idle()
                await self._shrink()

    async def _shrink(self) -> None:
        """Once after work, and not between requests that follow each other."""
        if self._users or self._used_at is None:
            return
        if time.monotonic() - self._used_at >= IDLE_CHECK_S:
            self._used_at = None
            await asyncio.to_thread(return_freed_memory)
