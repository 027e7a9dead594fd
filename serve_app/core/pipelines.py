"""What the requests of all pipelines share."""

from serve_app.core.message import Message


class PipelineOperation(Message):
    """An operation done by composing others, in a deployment of its own."""

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of the stages that this request has, in their order."""
        raise NotImplementedError
