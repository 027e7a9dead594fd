"""Models that are tried one after the other."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from typing import Any

from typing_extensions import override

from serve_app.catalog.entry import CatalogEntry, RunsOthers
from serve_app.core.costs import ANSWERING
from serve_app.core.errors import (
    AppError,
    InternalError,
    ModelNotFound,
    TimedOut,
    Unavailable,
    UpstreamError,
)
from serve_app.core.message import Progress
from serve_app.core.operation import Item, Operation
from serve_app.runtime.streams import GatherableItems, closing, gathered

MAY_BE_BETTER = (Unavailable, UpstreamError, TimedOut, InternalError, ModelNotFound)
"""Errors after which another model is tried; all others are the caller's, or would be the same. The
caller has named the route, so that a model that is not found is none of his mistakes.
"""


class FallBacks(RunsOthers):
    """Runs an operation on the first of some models that does it. Nothing is tried again once a
    part of the result was given away. `candidates` gives them anew for every operation.
    """

    def __init__(self, candidates: Callable[[], Sequence[CatalogEntry]]) -> None:
        self._candidates = candidates

    @override
    def run(self, operation: Operation[Any, Item]) -> AsyncIterator[Item]:
        return GatherableItems(self._run(operation), partial(self._gathered, operation))

    async def _run(self, operation: Operation[Any, Item]) -> AsyncGenerator[Item]:
        failure: AppError | None = None
        for found, items in self._attempts(operation):
            has_begun = False
            try:
                async with closing(items):
                    async for item in items:
                        if not has_begun and not isinstance(item, Progress):
                            has_begun = True
                            _tell(found)
                        yield item
                return
            except MAY_BE_BETTER as error:
                if has_begun:
                    raise
                failure = error
        assert failure is not None
        raise failure

    async def _gathered(self, operation: Operation[Any, Item]) -> list[Item]:
        failure: AppError | None = None
        for found, items in self._attempts(operation):
            try:
                every = await gathered(items)
            except MAY_BE_BETTER as error:
                failure = error
            else:
                _tell(found)
                return every
        assert failure is not None
        raise failure

    def _attempts(
        self, operation: Operation[Any, Item]
    ) -> Iterator[tuple[CatalogEntry, AsyncIterator[Item]]]:
        for found in self._candidates():
            asked = operation.model_copy(update={"model": found.id})
            yield found, found.counted.run(asked)


def _tell(found: CatalogEntry) -> None:
    tell = ANSWERING.get()
    if tell is not None:
        tell(found.id)
