"""Loading, waiting, eviction and failure, without Ray."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, ModelNotFound, ModelNotReady
from serve_app.core.loading import Report
from serve_app.core.options.video import CameraMovesOptions
from serve_app.core.status import ModelStatus
from serve_app.family import pool as engine_pool
from serve_app.family.pool import EnginePool


class Loaded:
    """An engine that counts what is done to it."""

    context_length: int | None = 7

    def __init__(self, model: Model) -> None:
        self.model = model
        self.started = 0
        self.closed = 0

    async def start(self) -> None:
        self.started += 1

    async def close(self) -> None:
        self.closed += 1


class Loading:
    """A Loader that notes what it is told."""

    def __init__(self, load: Callable[[Model, Report], Loaded]) -> None:
        self.load = load
        self.freed: list[str] = []
        self.wanted = False

    def unloaded(self, model: Model) -> None:
        self.freed.append(model.id)

    def is_wanted(self) -> bool:
        return self.wanted


def pool_of(
    *names: str,
    load: Callable[[Model, Report], Loaded] = lambda model, _: Loaded(model),
    max_loaded: int = 1,
    idle_unload_s: float = 600,
    load_wait_s: float = 10,
) -> EnginePool:
    return EnginePool(
        tuple(Model(id=name) for name in names),
        Loading(load),
        max_loaded=max_loaded,
        idle_unload_s=idle_unload_s,
        load_wait_s=load_wait_s,
    )


def states(pool: EnginePool) -> dict[str, str]:
    return {status.id: status.state for status in pool.status()}


async def test_an_engine_is_loaded_and_started_once() -> None:
    pool = pool_of("a")

    async def use() -> object:
        async with pool.use("a") as engine:
            return engine

    engines = await asyncio.gather(*(use() for _ in range(5)))
    (engine,) = set(engines)
    assert isinstance(engine, Loaded)
    assert engine.started == 1
    (status,) = pool.status()
    assert (status.state, status.context_length, status.requests) == ("ready", 7, 5)
    assert status.last_used is not None
    await pool.close()
    assert engine.closed == 1


async def test_the_model_used_longest_ago_leaves() -> None:
    pool = pool_of("a", "b", "c", max_loaded=2)
    for name in ("a", "b", "a", "c"):
        async with pool.use(name):
            pass
    assert states(pool) == {"a": "ready", "b": "unloaded", "c": "ready"}
    await pool.close()


async def test_what_a_model_told_of_itself_stays_known_when_it_leaves() -> None:
    facts = CameraMovesOptions.facts

    class Videoing(Loaded):
        video_facts = facts

    gate = threading.Event()
    gate.set()

    def load(model: Model, report: Report) -> Loaded:
        gate.wait(60)
        report(ModelStatus(id=model.id, state="loading", memory_mb=5))
        return Videoing(model)

    pool = pool_of("a", load=load)
    async with pool.use("a"):
        pass
    pool.unload("a")
    await _until(lambda: states(pool)["a"] == "unloaded")
    [left] = pool.status()
    assert (left.state, left.video, left.context_length) == ("unloaded", facts, 7)
    assert left.memory_mb is None
    gate.clear()
    pool.load("a")
    await _until(lambda: states(pool)["a"] == "loading")
    assert pool.status()[0].video == facts
    gate.set()
    await pool.close()


async def test_a_model_in_use_is_never_unloaded() -> None:
    pool = pool_of("a", "b", load_wait_s=0.3)
    async with pool.use("a") as engine:
        with pytest.raises(ModelNotReady) as caught:
            async with pool.use("b"):
                pass
        assert caught.value.retry_after_s
        assert isinstance(engine, Loaded)
        assert not engine.closed
    pool.load("b")
    await _until(lambda: pool.status()[1].state == "ready")
    assert engine.closed == 1
    await pool.close()


async def test_room_is_waited_for() -> None:
    pool = pool_of("a", "b")
    async with pool.use("a"):
        other = asyncio.create_task(_used(pool, "b"))
        await asyncio.sleep(0.05)
        assert not other.done()
    assert await other == "b"
    await pool.close()


async def test_a_slow_load_is_told_and_goes_on() -> None:
    gate = threading.Event()

    def load(model: Model, report: Report) -> Loaded:
        gate.wait(60)
        return Loaded(model)

    pool = pool_of("a", load=load, load_wait_s=0.1)
    with pytest.raises(ModelNotReady, match="'a' is loading"):
        await _used(pool, "a")
    gate.set()
    while states(pool)["a"] != "ready":
        await asyncio.sleep(0.01)
    assert await _used(pool, "a") == "a"
    await pool.close()


async def test_a_download_is_told_at_once_with_its_percentage() -> None:
    gate = threading.Event()

    def load(model: Model, report: Report) -> Loaded:
        report(ModelStatus(id=model.id, state="downloading", bytes_done=25, bytes_total=100))
        gate.wait(60)
        return Loaded(model)

    pool = pool_of("a", load=load, load_wait_s=1000)
    with pytest.raises(ModelNotReady, match="25 %"):
        await _used(pool, "a")
    gate.set()
    await pool.close()


async def test_a_failed_load_keeps_its_cause_and_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts = []

    def load(model: Model, report: Report) -> Loaded:
        attempts.append(model.id)
        if len(attempts) == 1:
            raise BackendUnavailable("no weights; set source", param="model")
        return Loaded(model)

    pool = pool_of("a", load=load)
    for _ in range(2):
        with pytest.raises(BackendUnavailable, match="no weights; set source"):
            await _used(pool, "a")
    assert attempts == ["a"]
    assert pool.status()[0].cause == "no weights; set source"
    monkeypatch.setattr(engine_pool, "RETRY_LOAD_AFTER_S", 0.0)
    assert await _used(pool, "a") == "a"
    await pool.close()


async def test_an_unforeseen_failure_leaks_nothing() -> None:
    def load(model: Model, report: Report) -> Loaded:
        raise RuntimeError("/secret/path")

    pool = pool_of("a", load=load)
    with pytest.raises(BackendUnavailable) as caught:
        await _used(pool, "a")
    assert "/secret" not in caught.value.message
    assert "RuntimeError" in caught.value.message
    await pool.close()


async def test_idle_models_leave_where_there_are_several() -> None:
    several, single = pool_of("a", "b", idle_unload_s=0), pool_of("c", idle_unload_s=0)
    await _used(several, "a")
    await _used(single, "c")
    await several.unload_idle()
    await single.unload_idle()
    assert states(several)["a"] == "unloaded"
    assert states(single)["c"] == "ready"
    await several.close()
    await single.close()


async def test_unused_models_leave_at_once_when_memory_is_wanted() -> None:
    loading = Loading(lambda model, _: Loaded(model))
    told: list[list[str]] = []
    pool = EnginePool(
        (Model(id="a"), Model(id="b")),
        loading,
        max_loaded=2,
        idle_unload_s=600,
        load_wait_s=10,
        changed=told.append,
    )
    await _used(pool, "a")
    async with pool.use("b"):
        await pool.unload_idle()
        assert states(pool) == {"a": "ready", "b": "ready"}
        loading.wanted = True
        await pool.unload_idle()
        assert states(pool) == {"a": "unloaded", "b": "ready"}
    assert loading.freed == ["a"]
    assert told == [["a"], ["a", "b"], ["b"]]
    await pool.close()


async def test_an_unknown_model() -> None:
    pool = pool_of("a")
    with pytest.raises(ModelNotFound):
        await _used(pool, "b")
    await pool.close()


async def _used(pool: EnginePool, name: str) -> str:
    async with pool.use(name) as engine:
        assert isinstance(engine, Loaded)
        return engine.model.id


async def test_a_model_is_unloaded_when_nobody_uses_it_and_loaded_again() -> None:
    pool = pool_of("a")
    async with pool.use("a") as engine:
        assert isinstance(engine, Loaded)
        pool.unload("a")
        await asyncio.sleep(0.3)
        assert pool.status()[0].state == "ready"
    async with asyncio.timeout(60):
        while pool.status()[0].state != "unloaded":
            await asyncio.sleep(0.01)
    assert engine.closed == 1
    pool.load("a")
    async with asyncio.timeout(60):
        while pool.status()[0].state != "ready":
            await asyncio.sleep(0.01)
    assert pool.status()[0].requests == 1
    await pool.close()


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_so():
            await asyncio.sleep(0.01)


async def test_a_load_that_nobody_waited_for_makes_room_for_others() -> None:
    gate = threading.Event()
    made: list[Loaded] = []

    def load(model: Model, report: Report) -> Loaded:
        if model.id == "a":
            report(ModelStatus(id="a", state="downloading", bytes_done=1, bytes_total=2))
            gate.wait(60)
        made.append(Loaded(model))
        return made[-1]

    loading = Loading(load)
    pool = EnginePool(
        (Model(id="a"), Model(id="b")), loading, max_loaded=1, idle_unload_s=600, load_wait_s=1
    )
    with pytest.raises(ModelNotReady):
        await _used(pool, "a")
    gate.set()
    await _until(lambda: states(pool)["a"] == "ready")
    assert await _used(pool, "b") == "b"
    assert states(pool) == {"a": "unloaded", "b": "ready"}
    assert (made[0].closed, loading.freed) == (1, ["a"])
    await pool.close()


async def test_a_load_that_nobody_waited_for_is_unloaded_whole() -> None:
    gate = threading.Event()
    made: list[Loaded] = []

    def load(model: Model, report: Report) -> Loaded:
        gate.wait(60)
        made.append(Loaded(model))
        return made[-1]

    loading = Loading(load)
    pool = EnginePool((Model(id="a"),), loading, max_loaded=1, idle_unload_s=600, load_wait_s=0.1)
    with pytest.raises(ModelNotReady):
        await _used(pool, "a")
    pool.unload("a")
    gate.set()
    await _until(lambda: states(pool)["a"] == "unloaded")
    await _until(lambda: loading.freed == ["a"])
    assert made[0].closed == 1
    await pool.close()


async def test_a_model_loaded_by_hand_stays_as_long_as_one_that_was_used() -> None:
    pool = pool_of("a", "b", max_loaded=2)
    pool.load("a")
    await _until(lambda: states(pool)["a"] == "ready")
    await pool.unload_idle()
    assert states(pool)["a"] == "ready"
    assert pool.status()[0].last_used is None
    await pool.close()


class Slow(Loaded):
    """Takes its time to start and to close."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.reached = asyncio.Event()
        self.may_go_on = asyncio.Event()

    async def start(self) -> None:
        await super().start()
        await self._pause()

    async def close(self) -> None:
        await self._pause()
        await super().close()

    async def _pause(self) -> None:
        self.reached.set()
        await self.may_go_on.wait()


async def test_an_engine_is_started_once_though_its_first_user_leaves() -> None:
    slow = Slow(Model(id="a"))
    pool = pool_of("a", load=lambda *_: slow)
    leaving = asyncio.create_task(_used(pool, "a"))
    await slow.reached.wait()
    leaving.cancel()
    slow.may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert await _used(pool, "a") == "a"
    assert slow.started == 1
    await pool.close()


async def test_an_engine_is_closed_whole_though_who_needed_the_room_leaves() -> None:
    slow = Slow(Model(id="a"))
    slow.may_go_on.set()
    loading = Loading(lambda model, _: slow if model.id == "a" else Loaded(model))
    pool = EnginePool(
        (Model(id="a"), Model(id="b")), loading, max_loaded=1, idle_unload_s=600, load_wait_s=10
    )
    async with pool.use("a"):
        slow.reached.clear()
        slow.may_go_on.clear()
    leaving = asyncio.create_task(_used(pool, "b"))
    await slow.reached.wait()
    leaving.cancel()
    slow.may_go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert (slow.closed, loading.freed) == (1, ["a"])
    await pool.close()


async def test_a_model_is_not_loaded_again_before_it_has_left() -> None:
    slow = Slow(Model(id="a"))
    slow.may_go_on.set()
    events: list[str] = []

    class Noted(Loading):
        def unloaded(self, model: Model) -> None:
            events.append("unloaded")

    def load(model: Model, report: Report) -> Loaded:
        events.append("loaded")
        return slow

    pool = EnginePool(
        (Model(id="a"), Model(id="b")), Noted(load), max_loaded=2, idle_unload_s=0, load_wait_s=10
    )
    async with pool.use("a"):
        slow.reached.clear()
        slow.may_go_on.clear()
    leaving = asyncio.create_task(pool.unload_idle())
    await slow.reached.wait()
    returning = asyncio.create_task(_used(pool, "a"))
    await asyncio.sleep(0.3)
    slow.may_go_on.set()
    await leaving
    assert await returning == "a"
    assert events == ["loaded", "unloaded", "loaded"]
    await pool.close()
