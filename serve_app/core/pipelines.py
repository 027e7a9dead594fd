"""What all pipelines, and the requests for them, share."""

from collections.abc import AsyncIterator
from typing import Any, ClassVar, Generic, Protocol

from serve_app.core.media import BlobStore
from serve_app.core.message import Message
from serve_app.core.operation import Operation, R
from serve_app.core.stages import Stages


class PipelineOperation(Operation[R], Generic[R]):
    """An operation done by composing others, in a deployment of its own, named `pipeline`."""

    pipeline: ClassVar[str]
    verb = "run"

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of the stages that this request has, in their order."""
        raise NotImplementedError

    def weight_of(self, stage: str) -> float:  # noqa: ARG002 - for those that differ
        """How much of the work a stage is, compared with the others."""
        return 1.0


class Pipeline(Protocol):
    """Does one operation by running others. A new one is made for every run."""

    def run(self, request: Any) -> AsyncIterator[Message]:
        """Progress, and last the result. A stage that fails is named in its error."""
        ...


class MakePipeline(Protocol):
    """A pipeline's class: the operation that it does, and what it works with."""

    @property
    def operation(self) -> type[PipelineOperation[Any]]:
        """What it does."""
        ...

    def __call__(self, stage: Stages, blobs: BlobStore) -> Pipeline:
        """The pipeline for one run."""
        ...
