"""Who asks for the states of models while their replicas are busy."""

import asyncio

import pytest

from serve_app.core.errors import BackendUnavailable
from serve_app.core.status import LoadState, ModelStatus
from serve_app.remote.statuses import LiveStatuses


class Family:
    """One model; `may_answer` holds its answers back."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.state: LoadState = "ready"
        self.error: Exception | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.asked = 0

    async def status(self) -> tuple[ModelStatus, ...]:
        self.asked += 1
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return (ModelStatus(id=self.name, state=self.state),)


def statuses_of(
    *families: Family, running: set[str] | None = None, is_outdated: bool = False
) -> LiveStatuses:
    """With `is_outdated` what is known is old at once, and nobody waits for more."""
    names = {family.name for family in families}
    times = {"age_s": -1.0, "patience_s": 0.0} if is_outdated else {}
    return LiveStatuses(
        {name: {name} for name in names},
        {family.name: family for family in families},
        lambda: names if running is None else running,
        **times,
    )


async def states(ask: LiveStatuses) -> dict[str, LoadState]:
    return {name: status.state for name, status in (await ask()).items()}


async def until(ask: LiveStatuses, expected: dict[str, LoadState]) -> None:
    async with asyncio.timeout(20):
        while await states(ask) != expected:
            await asyncio.sleep(0.001)


async def test_all_that_come_before_anything_is_known_wait_for_one_answer() -> None:
    family = Family("one")
    family.may_answer.clear()
    ask = statuses_of(family)
    waiting = [asyncio.create_task(states(ask)) for _ in range(3)]
    while not family.asked:
        await asyncio.sleep(0)
    waiting[0].cancel()
    family.may_answer.set()
    assert await asyncio.gather(*waiting[1:]) == [{"one": "ready"}] * 2
    assert await states(ask) == {"one": "ready"}
    assert family.asked == 1


async def test_nobody_waits_for_a_busy_replica_when_something_is_known() -> None:
    family = Family("one")
    ask = statuses_of(family, is_outdated=True)
    await until(ask, {"one": "ready"})
    family.may_answer.clear()
    family.state = "unloaded"
    for _ in range(3):
        assert await states(ask) == {"one": "ready"}
    family.may_answer.set()
    await until(ask, {"one": "unloaded"})


async def test_nobody_waits_long_when_what_is_known_is_not_recent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    family = Family("one")
    ask = LiveStatuses(
        {"one": {"one"}},
        {"one": family},
        lambda: {"one"},
        age_s=-1.0,
        patience_s=60.0,
        long_patience_s=0.0,
    )
    assert await states(ask) == {"one": "ready"}
    monkeypatch.setattr("serve_app.remote.statuses.RECENT_S", -1.0)
    family.may_answer.clear()
    family.state = "unloaded"
    async with asyncio.timeout(20):
        assert await states(ask) == {"one": "ready"}
    family.may_answer.set()
    await until(ask, {"one": "unloaded"})


async def test_a_replica_that_fails_keeps_what_was_known_and_one_that_stopped_is_unloaded() -> None:
    first, second = Family("one"), Family("two")
    running = {"one", "two"}
    ask = statuses_of(first, second, running=running, is_outdated=True)
    await until(ask, {"one": "ready", "two": "ready"})
    first.error = BackendUnavailable("it has stopped")
    running.remove("two")
    await until(ask, {"one": "ready", "two": "unloaded"})


async def test_what_goes_wrong_reaches_who_asks() -> None:
    def fails() -> set[str]:
        raise ValueError("no controller")

    ask = LiveStatuses({}, {}, fails)
    for _ in range(2):
        with pytest.raises(ValueError, match="no controller"):
            await ask()
