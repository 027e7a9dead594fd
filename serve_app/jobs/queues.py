"""The queue of an operation, how many jobs of a queue run at once, and an operation's stages."""

from collections.abc import Mapping
from typing import Any

from serve_app.core.config import JOBS, UPSTREAMS, AppConfig
from serve_app.core.operation import Operation
from serve_app.core.pipelines import PipelineOperation
from serve_app.core.settings import Placement


class Queues:
    """One queue per family and per pipeline, and one for providers, as wide as all its replicas
    together.
    """

    def __init__(self, config: AppConfig) -> None:
        self._families = {f.name: _width(f.placement) for f in config.families}
        self._families[UPSTREAMS] = _width(config.upstreams.placement)
        self._pipelines: dict[str, int] = {p.name: _width(p.placement) for p in config.pipelines}
        self._family_of = {m.id: f.name for f in config.families for m in f.models}
        self._family_of_task = {f.options.task: f.name for f in reversed(config.families)}

    def of(self, deployment: str) -> Mapping[str, int]:
        """The queues that a deployment works on, and how many jobs of each run at once."""
        if deployment == JOBS:
            return self._families
        return {deployment: self._pipelines[deployment]}

    def queue_of(self, operation: Operation[Any]) -> str:
        """The family of the operation's model, the first one of its task where it needs no model,
        or the pipeline. Models of providers share one queue, and so do routes.
        """
        if isinstance(operation, PipelineOperation):
            return operation.pipeline
        if operation.model_name is None and operation.task is not None:
            return self._family_of_task[operation.task]
        return self._family_of.get(operation.model_name or "", UPSTREAMS)

    def deployment_of(self, operation: Operation[Any]) -> str:
        """Which deployment runs it."""
        return self.queue_of(operation) if isinstance(operation, PipelineOperation) else JOBS

    def stages_of(self, operation: Operation[Any]) -> dict[str, float]:
        """The names of its stages in their order, and how much of the work each is."""
        if isinstance(operation, PipelineOperation):
            return {name: operation.weight_of(name) for name in operation.stages}
        return {operation.name: 1.0}


def _width(placement: Placement) -> int:
    return placement.max_replicas * placement.max_ongoing_requests
