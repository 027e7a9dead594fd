"""Requests that have begun, counted per key in windows of time: in this process, or where the
library `limits` has a storage for them.
"""

import time
from collections.abc import Callable
from typing import Protocol

from typing_extensions import override

MOST = 10_000
"""Windows that are kept before those that have ended are looked for."""


class WindowStorage(Protocol):
    """The part of a storage of `limits` that counts in fixed windows."""

    async def incr(self, key: str, expiry: int) -> int:
        """Count one; how many there are by now in the key's window, which lasts `expiry` seconds
        from its first.
        """
        ...

    async def get_expiry(self, key: str) -> float:
        """The unix second in which the key's window ends."""
        ...


class MemoryWindowStorage(WindowStorage):
    """Windows of this process. The storage of `limits` for that starts a task for every request.
    `clock` gives unix seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._counts: dict[str, int] = {}
        self._ends: dict[str, float] = {}

    @override
    async def incr(self, key: str, expiry: float) -> int:
        now = self._clock()
        if self._ends.get(key, 0.0) <= now:
            self._forget(now)
            self._counts[key], self._ends[key] = 0, now + expiry
        self._counts[key] += 1
        return self._counts[key]

    @override
    async def get_expiry(self, key: str) -> float:
        return self._ends.get(key, self._clock())

    def _forget(self, now: float) -> None:
        if len(self._ends) < MOST:
            return
        self._ends = {key: end for key, end in self._ends.items() if end > now}
        self._counts = {key: self._counts[key] for key in self._ends}
