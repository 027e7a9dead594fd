"""The engines a replica holds: loaded in threads, within a number, the least used leaves first.

Knows nothing of Ray, so that it is tested as plain asyncio.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Protocol

from serve_app.core.config import Model
from serve_app.core.engine import Engine
from serve_app.core.errors import AppError, BackendUnavailable, ModelNotFound, ModelNotReady
from serve_app.core.loading import Report
from serve_app.core.status import ModelStatus
from serve_app.family.slot import Slot
from serve_app.runtime.threads import to_its_end

logger = logging.getLogger(__name__)

Changed = Callable[[list[str]], None]
"""Told of the models that are in memory or on their way, whenever these change."""

RETRY_LOAD_AFTER_S = 20.0
POLL_S = 0.2


class Loader(Protocol):
    """Where a pool's engines come from. Its methods block; they are called in a thread."""

    def load(self, model: Model, report: Report) -> Engine:
        """The model in memory; raises BackendUnavailable when it cannot be had."""
        ...

    def unloaded(self, model: Model) -> None:
        """The model's memory is free."""
        ...

    def is_wanted(self) -> bool:
        """Whether somebody else waits for the memory of models that nobody uses."""
        ...


class EnginePool:
    """At most `max_loaded` engines at a time. One in use is never unloaded."""

    def __init__(
        self,
        models: tuple[Model, ...],
        loader: Loader,
        *,
        max_loaded: int,
        idle_unload_s: float,
        load_wait_s: float,
        changed: Changed = lambda _: None,
    ) -> None:
        self._loader = loader
        self._changed = changed
        self._max_loaded = max_loaded
        self._idle_unload_s = idle_unload_s
        self._load_wait_s = load_wait_s
        self._slots = {m.id: Slot(m, ModelStatus(id=m.id, state="unloaded")) for m in models}
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="load")
        self._starting = asyncio.Lock()
        self._making_room = asyncio.Lock()
        self._background: set[asyncio.Task[object]] = set()
        if len(models) == 1:
            self._begin(self._slots[models[0].id])

    def status(self) -> tuple[ModelStatus, ...]:
        """Where every model of the family is."""
        return tuple(_with_use(slot) for slot in self._slots.values())

    def load(self, model_id: str) -> ModelStatus:
        """Begin to load a model that is not loaded; `status` shows its progress."""
        slot = self._slot(model_id)
        if slot.engine is None:
            self._in_background(self._load_unused(slot))
        return slot.status

    def unload(self, model_id: str) -> ModelStatus:
        """Unload a model as soon as nobody uses it; the next use loads it again."""
        slot = self._slot(model_id)
        self._in_background(self._unload_unused(slot))
        return slot.status

    @asynccontextmanager
    async def use(self, model_id: str) -> AsyncGenerator[Engine]:
        """The engine of a model, loaded if need be and kept while the block runs.

        Raises ModelNotReady while it is downloaded or takes longer than `load_wait_s` to load, and
        what loading raised when it failed.
        """
        slot = self._slot(model_id)
        slot.users += 1
        slot.uses += 1
        try:
            yield slot.engine or await self._loaded(slot)
        finally:
            slot.users -= 1
            slot.used_at = time.monotonic()

    async def close(self) -> None:
        """Close every engine and stop loading."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for slot in self._slots.values():
            await self._unload(slot)

    async def unload_idle(self) -> None:
        """Unload what a family of several models has not used for `idle_unload_s`, and at once what
        it does not use while somebody else waits for memory.
        """
        if len(self._slots) == 1 or not any(slot.is_loaded for slot in self._slots.values()):
            return
        is_wanted = await asyncio.to_thread(self._loader.is_wanted)
        limit = time.monotonic() - (0 if is_wanted else self._idle_unload_s)
        for slot in self._slots.values():
            async with self._making_room:
                if slot.is_idle and slot.idle_since < limit:
                    await self._unload(slot)

    def _slot(self, model_id: str) -> Slot:
        slot = self._slots.get(model_id)
        if slot is None:
            raise ModelNotFound(f"unknown model {model_id!r}", param="model")
        return slot

    def _in_background(self, work: Coroutine[None, None, object]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[object]") -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.info("a model is not loaded: %s", error)

    async def _load_unused(self, slot: Slot) -> None:
        """What is being loaded is in use: it is not unloaded before it has been started."""
        slot.users += 1
        try:
            await self._loaded(slot)
        finally:
            slot.users -= 1

    async def _unload_unused(self, slot: Slot) -> None:
        while True:
            async with self._making_room:
                if not slot.users and (slot.loading is None or slot.loading.done()):
                    return await self._unload(slot)
            await asyncio.sleep(POLL_S)

    async def _loaded(self, slot: Slot) -> Engine:
        deadline = time.monotonic() + self._load_wait_s
        if slot.failed and time.monotonic() - slot.failed_at > RETRY_LOAD_AFTER_S:
            slot.loading = None
        if slot.loading is None:
            async with self._making_room:
                if slot.loading is None:
                    await self._make_room(deadline)
                    self._begin(slot)
        await self._wait(slot, deadline)
        async with self._starting:
            if slot.engine is None:
                await to_its_end(asyncio.ensure_future(self._start(slot)))
        assert slot.engine is not None
        return slot.engine

    async def _start(self, slot: Slot) -> None:
        assert slot.loading is not None
        engine = slot.loading.result()
        await engine.start()
        slot.engine = engine

    async def _wait(self, slot: Slot, deadline: float) -> None:
        """Until the load has ended, well or badly, or it is clear that it takes long."""
        assert slot.loading is not None
        loading = asyncio.wrap_future(slot.loading)
        while not loading.done():
            if slot.status.state == "downloading" or time.monotonic() > deadline:
                raise ModelNotReady(
                    _progress(slot.status),
                    remedy="try again later",
                    param="model",
                    retry_after_s=10,
                )
            await asyncio.wait((loading,), timeout=POLL_S)
        error = loading.exception()
        if error is not None:
            raise error

    def _begin(self, slot: Slot) -> None:
        slot.become(ModelStatus(id=slot.model.id, state="loading"))
        slot.loading = self._threads.submit(self._load_recorded, slot, slot.become)
        self._announce_changes()

    def _load_recorded(self, slot: Slot, report: Report) -> Engine:
        try:
            engine = self._loader.load(slot.model, report)
        except Exception as error:
            failure = _loading_error(slot.model, error)
            slot.failed_at = time.monotonic()
            report(ModelStatus(id=slot.model.id, state="failed", cause=failure.message))
            raise failure from error
        ready = {"state": "ready", "context_length": engine.context_length, "cause": None}
        ready["video"] = getattr(engine, "video_facts", None)
        ready["translation"] = getattr(engine, "translation_facts", None)
        ready["image_facts"] = getattr(engine, "image_facts", None)
        ready["depth_method"] = getattr(engine, "depth_method", None)
        slot.loads += 1
        slot.loaded_at = time.monotonic()
        report(slot.status.model_copy(update=ready))
        logger.info("model %r is loaded", slot.model.id)
        return engine

    async def _make_room(self, deadline: float) -> None:
        """Unload the model that was used longest ago; wait for one while all are in use."""
        while True:
            loaded = [slot for slot in self._slots.values() if slot.loading and not slot.failed]
            if len(loaded) < self._max_loaded:
                return
            idle = [slot for slot in loaded if slot.is_idle]
            if idle:
                await self._unload(min(idle, key=lambda slot: slot.idle_since))
            elif time.monotonic() > deadline:
                raise ModelNotReady(
                    "every loaded model of this family is in use", param="model", retry_after_s=5
                )
            else:
                await asyncio.sleep(POLL_S)

    async def _unload(self, slot: Slot) -> None:
        """To be called with room being made, so that the model is not loaded again meanwhile."""
        await to_its_end(asyncio.ensure_future(self._unloaded(slot)))

    async def _unloaded(self, slot: Slot) -> None:
        engine = slot.loading.result() if slot.loading and slot.is_loaded else None
        slot.engine = slot.loading = None
        slot.become(ModelStatus(id=slot.model.id, state="unloaded"))
        try:
            if engine:
                await engine.close()
        finally:
            # Also of an engine that fails at it: what it held is not booked for ever.
            if engine:
                await asyncio.to_thread(self._loader.unloaded, slot.model)
            self._announce_changes()

    def _announce_changes(self) -> None:
        slots = self._slots.values()
        self._changed([slot.model.id for slot in slots if slot.loading and not slot.failed])


def _with_use(slot: Slot) -> ModelStatus:
    seconds_ago = time.monotonic() - slot.used_at
    used_at = time.time() - seconds_ago if slot.used_at else None
    counts = {"requests": slot.uses, "loads": slot.loads}
    return slot.status.model_copy(update=counts | {"last_used": used_at})


def _loading_error(model: Model, error: Exception) -> AppError:
    if isinstance(error, AppError):
        logger.warning("model %r cannot be loaded: %s", model.id, error.message)
        return error
    logger.exception("model %r cannot be loaded", model.id)
    return BackendUnavailable(
        f"model {model.id!r} cannot be loaded ({type(error).__name__})",
        remedy="the server's log says why",
        param="model",
    )


def _progress(status: ModelStatus) -> str:
    if status.state == "downloading" and status.bytes_total:
        percent = 100 * (status.bytes_done or 0) // status.bytes_total
        return f"model {status.id!r} is being downloaded ({percent} %)"
    return f"model {status.id!r} is {status.state}"
