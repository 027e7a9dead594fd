"""A whole pipeline as one stage of another."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from typing_extensions import override

from serve_app.core.message import Progress
from serve_app.core.pipelines import PipelineOperation
from serve_app.core.stages import PlainStage, StageReports, Stages

T = TypeVar("T")


class NestedStage(PlainStage):
    """Runs the stages of `operation` and tells their progress as that of the stage `name`."""

    def __init__(self, outer: StageReports, name: str, operation: PipelineOperation[Any]) -> None:
        self._outer = outer
        self._name = name
        self._weights = {stage: operation.weight_of(stage) for stage in operation.stages}
        self._shares: dict[str, float] = {}

    @override
    async def __call__(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        result = await super().__call__(name, work)
        # The outer stage returns only at the end of them all.
        await self.hold(result)
        self._report_share(name, 1.0)
        return result

    @override
    def report(self, name: str, progress: Progress) -> None:
        self._report_share(name, progress.current / progress.total if progress.total else 0.0)

    @override
    async def hold(self, made: object) -> None:
        await self._outer.hold(made)

    def _report_share(self, name: str, share: float) -> None:
        self._shares[name] = share
        done = sum(w * self._shares.get(stage, 0.0) for stage, w in self._weights.items())
        percent = round(100 * done / sum(self._weights.values()))
        self._outer.report(self._name, Progress(phase=name, current=percent, total=100))


def nested(stages: Stages, name: str, operation: PipelineOperation[Any]) -> Stages:
    """The stages of a pipeline that is the stage `name` of another."""
    return Stages(stages.operations, NestedStage(stages, name, operation))
