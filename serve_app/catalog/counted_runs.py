"""Counts what the items of a model's answer say of how much was used, where somebody meters it."""

from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from typing import Any

from typing_extensions import override

from serve_app.core.amounts import LOCAL, UsedModels
from serve_app.core.costs import METER
from serve_app.core.operation import Item, Operation, OperationRunner
from serve_app.core.usage import StreamCount
from serve_app.runtime.streams import Gatherable, closing


class CountedRunner(OperationRunner):
    """What runs the operations of one model."""

    def __init__(self, runner: OperationRunner, model: str, provider: str = LOCAL) -> None:
        self._runner = runner
        self._ran = (model, provider)

    @override
    def run(self, operation: Operation[Any, Item]) -> AsyncIterator[Item]:
        items, meter = self._runner.run(operation), METER.get()
        if meter is None:
            return items
        return CountedItems(items, RunCount(operation, self._ran, meter.used))


class RunCount:
    """The count of one run, which is added to what was `used` at its end, whatever that is."""

    def __init__(
        self, operation: Operation[Any, Any], ran: tuple[str, str], used: UsedModels
    ) -> None:
        self._items = StreamCount(operation)
        self._ran = ran
        self._used = used
        self.take = self._items.take

    def end(self) -> None:
        """No more will come."""
        total = self._items.total()
        if total is not None:
            self._used.add(self._ran, total)


class CountedItems(Gatherable[Item]):
    """The items of a run as they come, or all at once as the run has them."""

    def __init__(self, items: AsyncIterator[Item], count: RunCount) -> None:
        self._all = items
        self._count = count
        self._items = counted(items, count)

    @override
    async def gathered(self) -> list[Item]:
        if not isinstance(self._all, Gatherable):
            async with closing(self._items):
                return [item async for item in self._items]
        found: list[Item] = await self._all.gathered()
        for item in found:
            self._count.take(item)
        self._count.end()
        return found

    @override
    def __anext__(self) -> Coroutine[Any, Any, Item]:
        return self._items.__anext__()

    @override
    def asend(self, value: None) -> Coroutine[Any, Any, Item]:
        return self._items.asend(value)

    @override
    def athrow(self, *error: Any) -> Coroutine[Any, Any, Item]:
        return self._items.athrow(*error)

    @override
    def aclose(self) -> Coroutine[Any, Any, None]:
        return self._items.aclose()


async def counted(items: AsyncIterator[Item], count: RunCount) -> AsyncGenerator[Item]:
    """The items, each of which is counted as it passes."""
    async with closing(items):
        try:
            async for item in items:
                count.take(item)
                yield item
        finally:
            count.end()
