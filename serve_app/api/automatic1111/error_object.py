"""Errors as Automatic1111's clients read them or, where the operator asks for it, Velesio's."""

from collections.abc import Iterable
from typing import Any

from serve_app.api.errors import displayable
from serve_app.core.errors import AppError, NotFound, TimedOut

CODES = {
    "invalid_api_key": "unauthorized",
    "insufficient_scope": "forbidden",
    "host_not_allowed": "forbidden",
    "not_owner": "forbidden",
    "csrf_failed": "forbidden",
    "unsupported_capability": "invalid_request",
    "context_length_exceeded": "invalid_request",
    "out_of_memory": "backend_unavailable",
}
"""Codes of the core that are called something else here."""


class NameNotFound(NotFound):
    """A sampler, a scheduler or the like that there is not; `names` are those that there are."""

    def __init__(self, message: str, names: Iterable[str], *, param: str) -> None:
        super().__init__(message, param=param)
        self.names = tuple(names)


def error_object(error: AppError, path: str) -> dict[str, Any]:  # noqa: ARG001
    """Automatic1111's own shape. `errors` is a text, as there."""
    return {
        "error": code_of(error),
        "detail": displayable(error.explanation),
        "body": "",
        "errors": context_of(error),
    }


def velesio_object(error: AppError, path: str) -> dict[str, Any]:  # noqa: ARG001
    """What a client of Velesio's expects on every path, and the text where the others look."""
    message = displayable(error.explanation)
    said = {"code": code_of(error), "message": message, "details": context_of(error)}
    return {"error": said, "detail": message}


def code_of(error: AppError) -> str:
    """What the failure is called here."""
    return CODES.get(error.code, error.code)


def context_of(error: AppError) -> str:
    """The job that goes on, or the field and the values that it may have."""
    if isinstance(error, TimedOut) and error.job_id is not None:
        return error.job_id
    names = ", ".join(error.names) if isinstance(error, NameNotFound) else ""
    return displayable(": ".join(filter(None, (error.param, names))))
