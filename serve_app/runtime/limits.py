"""Time limits that are not mistaken for a time-out of the code that runs within them."""

import asyncio
from types import TracebackType


class LimitPassed(Exception):
    """The block took longer than its limit. No TimeoutError, which any library may raise."""


def within(seconds: float) -> "TimeLimit":
    """Cancel the block when it takes longer, and raise LimitPassed. A TimeoutError that the block
    raises by itself, as fsspec and aiohttp do, stays what it is.
    """
    return TimeLimit(seconds)


class TimeLimit:
    """What `within` gives; a class, because a generator costs more and every request has one."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._limit = asyncio.timeout(seconds)

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._limit.__aexit__(kind, error, trace)
        except TimeoutError:
            if self._limit.expired():
                raise LimitPassed(f"did not end within {self._seconds:g} s") from None
            raise
