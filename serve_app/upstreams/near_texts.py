"""`NearTexts`: calls providers for texts from the process that a client is connected to."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from typing_extensions import override

from serve_app.core.config import UPSTREAMS
from serve_app.core.operation import Item, Operation, OperationRunner
from serve_app.core.tasks import SMALL_TASKS
from serve_app.core.upstreams.directory import ProviderListing, UpstreamService
from serve_app.runtime.streams import GatherableItems, condensed
from serve_app.runtime.unexpected import only_expected, unexpected_errors


class NearTexts(OperationRunner):
    """Satisfies `UpstreamService`: texts and lists of models are asked for by `near`, in this
    process; everything else by `far`, which has processes of its own for what is large.
    """

    def __init__(self, near: UpstreamService, far: UpstreamService) -> None:
        self._near = near
        self._far = far

    @override
    def run(self, operation: Operation[Any, Item]) -> AsyncIterator[Item]:
        if operation.task not in SMALL_TASKS:
            return self._far.run(operation)
        items = only_expected(self._near.run(operation), repr(UPSTREAMS), provider=UPSTREAMS)
        return GatherableItems(items, partial(self._gathered, operation))

    async def listings(self, provider: str | None = None) -> tuple[ProviderListing, ...]:
        """What providers list now."""
        with unexpected_errors(repr(UPSTREAMS), provider=UPSTREAMS):
            return await self._near.listings(provider)

    async def close(self) -> None:
        """Close the connections of this process."""
        await self._near.close()
        await self._far.close()

    async def _gathered(self, operation: Operation[Any, Item]) -> list[Item]:
        with unexpected_errors(repr(UPSTREAMS), provider=UPSTREAMS):
            return await condensed(self._near.run(operation))
