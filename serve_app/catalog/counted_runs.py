"""Counts what the items of a model's answer say of how much was used, where somebody meters it."""

from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from typing import Any

from typing_extensions import override

from serve_app.core.amounts import LOCAL, UsedModels
from serve_app.core.costs import METER
from serve_app.core.operation import Item, Operation, OperationRunner
from serve_app.core.usage import StreamCount
from serve_app.runtime.streams import Gatherable, GatherableItems, closing


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
        count = RunCount(operation, self._ran, meter.used)
        return GatherableItems(counted(items, count), partial(gathered_and_counted, items, count))


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


async def counted(items: AsyncIterator[Item], count: RunCount) -> AsyncGenerator[Item]:
    """The items, each of which is counted as it passes."""
    async with closing(items):
        try:
            async for item in items:
                count.take(item)
                yield item
        finally:
            count.end()


async def gathered_and_counted(items: AsyncIterator[Item], count: RunCount) -> list[Item]:
    """All items, as the run has them at once."""
    if not isinstance(items, Gatherable):
        one_by_one = counted(items, count)
        async with closing(one_by_one):
            return [item async for item in one_by_one]
    found: list[Item] = await items.gathered()
    for item in found:
        count.take(item)
    count.end()
    return found
