"""Rates per credential, class and scope: in memory, and in a real Redis that replicas share."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import redis.asyncio

from serve_app.access.rate_limits import Admission, RateLimits, RouteClass, rate_limits
from serve_app.access.redis_limits import PREFIX, RedisSlots
from serve_app.access.slots import MemorySlots
from serve_app.access.tokens import ANONYMOUS, Principal
from serve_app.access.windows import MOST, MemoryWindowStorage
from serve_app.core.errors import RateLimited, Unavailable
from serve_app.core.settings import Limits

MakeLimits = Callable[..., RateLimits]


def principal(name: str = "one", *scopes: Any) -> Principal:
    return Principal("api", frozenset(scopes or ("inference",)), token_id=name)


def limits_of(url: str | None = None, **rates: Any) -> Limits:
    return Limits.model_validate({"storage_url": url, "rates": {"inference": rates}})


async def admitted(
    limits: RateLimits, route_class: RouteClass = "default", who: Principal | None = None
) -> Admission:
    found = await limits.admit(who or principal(), route_class)
    assert found is not None
    return found


async def begun(limits: RateLimits, count: int, **where: Any) -> int:
    """How many of so many requests are let in; each ends at once."""
    refusals = 0
    for _ in range(count):
        admission = await admitted(limits, **where)
        admission.leave()
        refusals += admission.refusal is not None
    return count - refusals


@pytest.fixture(params=["memory", "redis"])
async def make_limits(request: pytest.FixtureRequest) -> AsyncIterator[MakeLimits]:
    """Limits over an empty storage, by the rates of the scope inference."""
    url: str | None = None
    if request.param == "redis":
        url = request.getfixturevalue("redis_url")
        async with redis.asyncio.Redis.from_url(str(url)) as client:
            await client.flushall()
    made: list[RateLimits] = []

    def make(**rates: Any) -> RateLimits:
        limits = rate_limits(limits_of(url, **rates))
        assert limits is not None
        made.append(limits)
        return limits

    yield make
    for limits in made:
        await limits.close()


async def test_so_many_requests_may_begin_in_a_window(make_limits: MakeLimits) -> None:
    limits = make_limits(default={"requests_per_minute": 3})
    remaining = []
    for _ in range(3):
        admission = await admitted(limits)
        assert admission.refusal is None
        remaining.append(admission.window.remaining)
        admission.leave()
    assert remaining == [2, 1, 0]
    refused = await admitted(limits)
    assert isinstance(refused.refusal, RateLimited)
    assert 0 < (refused.refusal.retry_after_s or 0) <= 61
    assert refused.window.headers()["X-RateLimit-Remaining"] == "0"
    assert refused.window.limit == 3


async def test_every_header_tells_the_same_end_of_the_window(make_limits: MakeLimits) -> None:
    limits = make_limits(default={"requests_per_minute": 3})
    ends = {(await admitted(limits)).window.headers()["X-RateLimit-Reset"] for _ in range(5)}
    assert len(ends) == 1


async def test_tokens_and_classes_are_counted_apart(make_limits: MakeLimits) -> None:
    limits = make_limits(
        default={"requests_per_minute": 2},
        embeddings={"requests_per_minute": 4},
        read={"requests_per_minute": 3},
    )
    assert await begun(limits, 5) == 2
    assert await begun(limits, 5, route_class="embeddings") == 4
    assert await begun(limits, 5, route_class="embeddings") == 0
    assert await begun(limits, 5, route_class="read") == 3
    assert await begun(limits, 5, who=principal("two")) == 2


async def test_the_scope_decides_on_the_rate(make_limits: MakeLimits) -> None:
    limits = make_limits(default={"requests_per_minute": 2})
    assert await begun(limits, 30, who=principal("boss", "inference", "admin")) == 30


async def test_so_many_requests_may_be_under_way(make_limits: MakeLimits) -> None:
    limits = make_limits(default={"concurrent": 2})
    first, second = await admitted(limits), await admitted(limits)
    third = await admitted(limits)
    assert isinstance(third.refusal, RateLimited)
    assert third.refusal.retry_after_s == 1
    third.leave()
    assert (await admitted(limits, who=principal("two"))).refusal is None
    assert (await admitted(limits, route_class="embeddings")).refusal is None
    assert isinstance((await admitted(limits)).refusal, RateLimited)
    first.leave()
    await settled(limits)
    assert (await admitted(limits)).refusal is None
    second.leave()


async def settled(limits: RateLimits) -> None:
    slots: Any = limits._slots
    if isinstance(slots, RedisSlots):
        await asyncio.gather(*(slots._background - {slots._renewing}))


async def test_many_at_once_never_pass_the_limit(make_limits: MakeLimits) -> None:
    limits = make_limits(default={"concurrent": 4, "requests_per_minute": 25})
    results = await asyncio.gather(*(admitted(limits) for _ in range(40)))
    assert sum(result.refusal is None for result in results) == 4
    over = [r for r in results if r.refusal and "in this minute" in r.refusal.message]
    assert len(over) == 15


async def test_callers_without_a_credential_are_not_limited(make_limits: MakeLimits) -> None:
    limits = make_limits(default={"requests_per_minute": 1, "concurrent": 1})
    for _ in range(5):
        assert await limits.admit(ANONYMOUS, "default") is None


async def test_a_window_that_has_ended_begins_anew() -> None:
    class Window(MemoryWindowStorage):
        """A minute of half a second."""

        async def incr(self, key: str, expiry: float) -> int:
            assert expiry == 60
            return await super().incr(key, 0.5)

    rates = limits_of(default={"requests_per_minute": 2}).rates
    assert rates is not None
    limits = RateLimits(rates, Window(), MemorySlots())
    first = await admitted(limits)
    assert await begun(limits, 3) == 1
    await asyncio.sleep(0.6)
    again = await admitted(limits)
    assert again.refusal is None
    assert again.window.remaining == 1
    assert again.window.reset_at > first.window.reset_at


async def test_replicas_share_what_a_redis_counts(redis_url: str) -> None:
    rates = {"default": {"requests_per_minute": 10, "concurrent": 3}}
    replicas = [rate_limits(limits_of(redis_url, **rates)) for _ in range(3)]
    who = principal("shared")
    held = []
    for i in range(6):
        replica = replicas[i % 3]
        assert replica is not None
        held.append(await admitted(replica, who=who))
    assert [each.refusal is None for each in held] == [True] * 3 + [False] * 3
    assert [each.window.remaining for each in held] == [9, 8, 7, 6, 5, 4]
    assert len({round(each.window.reset_at) // 5 for each in held}) <= 2
    for admission in held:
        admission.leave()
    for each in replicas:
        assert each is not None
        await each.close()


async def test_the_slots_of_a_killed_replica_come_back(redis_url: str) -> None:
    """Its lease is not renewed any more; that of a living one is."""
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        killed, living = RedisSlots(client, lease_s=1.0), RedisSlots(client, lease_s=1.0)
        assert await killed.take("lease", 2) is not None
        slot = await living.take("lease", 2)
        assert slot is not None
        assert await living.take("lease", 2) is None
        assert killed._renewing is not None
        killed._renewing.cancel()
        await asyncio.sleep(1.6)
        assert await client.zcount(PREFIX + "lease", "-inf", "+inf") >= 1
        assert await living.take("lease", 2) is not None
        assert await living.take("lease", 2) is None
        living.free("lease", slot)
        assert living._renewing is not None
        living._renewing.cancel()
        await asyncio.gather(*living._background, return_exceptions=True)


async def test_a_storage_that_does_not_answer_is_said_and_not_taken_for_zero() -> None:
    limits = rate_limits(limits_of("redis://127.0.0.1:1/0"))
    assert limits is not None
    with pytest.raises(Unavailable, match=r"limits\.storage_url"):
        await limits.admit(principal(), "default")
    await limits.close()


def test_without_rates_there_are_no_limits() -> None:
    assert rate_limits(Limits(rates=None)) is None


async def test_windows_that_have_ended_are_forgotten() -> None:
    now = 0.0
    windows = MemoryWindowStorage(clock=lambda: now)
    for number in range(MOST):
        await windows.incr(str(number), 60)
    now = 30.0
    assert await windows.incr("0", 60) == 2
    assert await windows.get_expiry("0") == 60.0
    now = 61.0
    assert await windows.incr("0", 60) == 1
    assert list(windows._counts) == ["0"]
