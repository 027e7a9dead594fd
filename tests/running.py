"""Operations over engines of this process, and the stages of pipelines over them."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from serve_app.catalog.engine_runner import EngineRunner
from serve_app.core.operation import Item, Operation
from serve_app.core.stages import PlainStage, Stage, Stages


class Engines:
    """Runs operations by the engine of their task, as it is then."""

    def __init__(self, by_task: Mapping[str, Any]) -> None:
        self._by_task = by_task

    def __call__(self, operation: Operation[Any, Item]) -> AsyncIterator[Item]:
        assert operation.task is not None
        return EngineRunner(self._by_task[operation.task]).run(operation)


def stages_over(by_task: Mapping[str, Any], stage: Stage | None = None) -> Stages:
    """What a pipeline works with."""
    return Stages(Engines(by_task), stage or PlainStage())
