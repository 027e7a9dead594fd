"""Counts concurrent requests per key in this process."""

from collections import Counter
from typing import Protocol

from typing_extensions import override


class Slots(Protocol):
    """Who is under way. A slot that was taken is freed once."""

    async def take(self, key: str, limit: int) -> str | None:
        """The name of a slot, None when `limit` slots of the key are taken."""

    def free(self, key: str, slot: str) -> None:
        """Give a slot back. Never waits."""

    async def close(self) -> None:
        """Let what was freed arrive and end connections."""


class MemorySlots(Slots):
    """Slots of this process."""

    def __init__(self) -> None:
        self._in_use: Counter[str] = Counter()

    @override
    async def take(self, key: str, limit: int) -> str | None:
        if self._in_use[key] >= limit:
            return None
        self._in_use[key] += 1
        return key

    @override
    def free(self, key: str, slot: str) -> None:
        self._in_use[key] -= 1
        if self._in_use[key] <= 0:
            del self._in_use[key]

    async def close(self) -> None:
        """There are no connections."""
