"""`OperationBody`: a body that becomes an operation."""

from typing import Any

from serve_app.api.ai_server.given_files import GivenFiles
from serve_app.api.ai_server.service_body import ServiceBody
from serve_app.api.call import Call
from serve_app.core.notices import Notice
from serve_app.core.operation import Operation


class OperationBody(ServiceBody):
    """The fields of one operation, sync and queued."""

    async def to_operation(self, call: Call, files: GivenFiles) -> Operation[Any]:
        """The operation, with its model chosen and its media stored."""
        raise NotImplementedError

    def notices(self, operation: Operation[Any]) -> tuple[Notice, ...]:  # noqa: ARG002
        """What the operation does otherwise than it was asked for."""
        return ()

    def stem(self, files: GivenFiles) -> str | None:  # noqa: ARG002
        """The name of the result without its extension, where it is not its own."""
        return None
