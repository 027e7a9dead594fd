"""Runs operations on an engine of this process."""

from collections.abc import AsyncIterator, Awaitable
from typing import Any

from typing_extensions import override

from serve_app.core.loading import Loadable
from serve_app.core.operation import Item, Operation, OperationRunner, R


class EngineRunner(OperationRunner):
    """Calls the verb that an operation names."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    @override
    def run(self, operation: Operation[Any, Item]) -> AsyncIterator[Item]:
        answer = getattr(self._engine, operation.verb)(operation)
        return single(answer) if operation.answers_once else answer


class LoadableEngineRunner(EngineRunner):
    """Of an engine that is loaded and unloaded by hand."""

    def __init__(self, engine: Loadable) -> None:
        super().__init__(engine)
        self.load_model = engine.load_model
        self.unload_model = engine.unload_model


async def single(answer: Awaitable[R]) -> AsyncIterator[R]:
    """A stream of one item."""
    yield await answer


def runner_of(engine: Any) -> EngineRunner:
    """What runs the operations of an engine."""
    return LoadableEngineRunner(engine) if isinstance(engine, Loadable) else EngineRunner(engine)
