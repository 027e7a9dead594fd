"""What the requests of all pipelines share."""

from typing import ClassVar

from serve_app.core.message import Message


class PipelineOperation(Message):
    """An operation done by composing others, in a deployment of its own, named `pipeline`."""

    pipeline: ClassVar[str]

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of the stages that this request has, in their order."""
        raise NotImplementedError

    def weight_of(self, stage: str) -> float:  # noqa: ARG002 - for those that differ
        """How much of the work a stage is, compared with the others."""
        return 1.0
