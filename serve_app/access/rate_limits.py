"""Rate limits: how many requests a credential may begin per minute and run at once."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from serve_app.access.slots import MemorySlots, Slots
from serve_app.access.tokens import Principal
from serve_app.access.windows import MemoryWindowStorage, WindowStorage
from serve_app.core.errors import RateLimited, Unavailable
from serve_app.core.settings import Limits, Rate, ScopedRates

RouteClass = Literal["default", "embeddings", "read"]
WINDOW_S = 60
RETRY_S = 1.0
BUSY_RETRY_S = 1.0


@dataclass(frozen=True)
class RateWindow:
    """How much of a minute's requests is left; `reset_at` is the unix second it ends."""

    limit: int
    remaining: int
    reset_at: float

    def headers(self) -> dict[str, str]:
        """What a client needs to pace itself."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(math.ceil(self.reset_at)),
        }


@dataclass(frozen=True)
class Admission:
    """What came of one request: `refusal` is None when it may go on. `leave` must be called when
    the request has ended.
    """

    window: RateWindow
    refusal: RateLimited | None
    leave: Callable[[], None]


class RateLimits:
    """Counts by credential, class of route and scope. `clock` gives unix seconds, `unanswered` is
    what the storage raises when it does not answer.
    """

    def __init__(
        self,
        rates: ScopedRates,
        storage: WindowStorage,
        slots: Slots,
        *,
        unanswered: tuple[type[Exception], ...] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._rates = rates
        self._unanswered = unanswered
        self._storage = storage
        self._slots = slots
        self._clock = clock
        self._ends: dict[str, float] = {}

    async def admit(self, principal: Principal, route_class: RouteClass) -> Admission | None:
        """Count one request; None for callers without a credential, who are not limited.

        Raises Unavailable when the storage does not answer: letting everybody in would be a limit
        that fails when it is needed.
        """
        subject = principal.subject
        if subject is None:
            return None
        scope = "admin" if "admin" in principal.scopes else "inference"
        rate: Rate = getattr(getattr(self._rates, scope), route_class)
        try:
            return await self._admit(f"{subject}:{route_class}", rate)
        except self._unanswered as error:
            raise Unavailable(
                "requests cannot be counted: the storage of limits.storage_url does not answer",
                retry_after_s=RETRY_S,
            ) from error

    async def close(self) -> None:
        """End the connections to the storage."""
        await self._slots.close()

    async def _admit(self, key: str, rate: Rate) -> Admission:
        window, count = await self._count(key, rate.requests_per_minute)
        if count > rate.requests_per_minute:
            wait_s = max(window.reset_at - self._clock(), 0)
            refusal = RateLimited(
                f"more than {rate.requests_per_minute} requests in this minute",
                remedy=f"try again in {math.ceil(wait_s)} s",
                retry_after_s=wait_s,
            )
            return Admission(window, refusal, _nothing)
        slot = await self._slots.take(key, rate.concurrent)
        if slot is None:
            refusal = RateLimited(
                f"{rate.concurrent} requests of this credential are running",
                remedy="wait for one to end",
                retry_after_s=BUSY_RETRY_S,
            )
            return Admission(window, refusal, _nothing)
        return Admission(window, None, lambda: self._slots.free(key, slot))

    async def _count(self, key: str, limit: int) -> tuple[RateWindow, int]:
        """The window after this request. Its end is asked for once and then remembered."""
        name = f"LIMITER/{key}/{limit}/1/minute"
        count = await self._storage.incr(name, WINDOW_S)
        ends_at = self._ends.get(name, 0.0)
        if count == 1 or ends_at <= self._clock():
            ends_at = await self._storage.get_expiry(name)
            self._remember(name, ends_at)
        return RateWindow(limit, max(limit - count, 0), ends_at), count

    def _remember(self, name: str, ends_at: float) -> None:
        now = self._clock()
        if len(self._ends) > 10_000:
            self._ends = {key: end for key, end in self._ends.items() if end > now}
        self._ends[name] = ends_at


def rate_limits(limits: Limits) -> RateLimits | None:
    """The limits as configured, None without any. `limits.storage_url` None counts in memory."""
    if limits.rates is None:
        return None
    if limits.storage_url is None:
        return RateLimits(limits.rates, MemoryWindowStorage(), MemorySlots())
    from serve_app.access.redis_limits import UNANSWERED, redis_storage

    windows, slots = redis_storage(limits.storage_url)
    return RateLimits(limits.rates, windows, slots, unanswered=UNANSWERED)


def _nothing() -> None:
    """A request that was refused holds nothing."""
