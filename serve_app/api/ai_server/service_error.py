"""Errors as `responseStatus` tells them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from serve_app.api.errors import displayable
from serve_app.core.errors import (
    AppError,
    Cancelled,
    Conflict,
    Forbidden,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    TimedOut,
    Unauthenticated,
    Unavailable,
    UnsupportedMedia,
    UpstreamError,
)

ARGUMENT = "ArgumentException"
CODES: tuple[tuple[type[AppError], str], ...] = (
    (InvalidRequest, ARGUMENT),
    (UnsupportedMedia, ARGUMENT),
    (Unauthenticated, "Unauthorized"),
    (Forbidden, "Forbidden"),
    (NotFound, "NotFound"),
    (MethodNotAllowed, "NotImplementedException"),
    (Conflict, "Conflict"),
    (PayloadTooLarge, "RequestTooLarge"),
    (RateLimited, "TooManyRequests"),
    (Unavailable, "ServiceUnavailable"),
    (TimedOut, "TimeoutException"),
)
STATUSES: tuple[tuple[type[AppError], int], ...] = (
    (UnsupportedMedia, 400),
    (Cancelled, 500),
    (UpstreamError, 500),
)
"""Of errors that have another status here than in the core."""
REFUSED = {
    None: "Invalid API Key",
    "revoked": "API Key has been cancelled",
    "expired": "API Key has expired",
}


class ProblemOnWire(BaseModel):
    """What is wrong with one field."""

    errorCode: str
    fieldName: str
    message: str


class StatusOnWire(BaseModel):
    """What went wrong."""

    errorCode: str
    message: str
    errors: list[ProblemOnWire] | None = None
    meta: dict[str, str] | None = None


class ServiceErrorResponse(BaseModel):
    """The body of every request that fails."""

    responseStatus: StatusOnWire


ERRORS: dict[int | str, dict[str, Any]] = {
    # Without it FastAPI would list a 422, which is never answered.
    "default": {"model": ServiceErrorResponse, "description": "Any error."}
}


@dataclass(frozen=True)
class FieldProblem:
    """What is wrong with one field, whose name is in PascalCase."""

    code: str
    field: str
    message: str

    def to_wire(self) -> dict[str, str]:
        """An item of `errors`."""
        return {
            "errorCode": self.code,
            "fieldName": displayable(self.field),
            "message": displayable(self.message),
        }


class ServiceError(AppError):
    """An error of this dialect's own; `answered` is its status, `beside` what the body has beside
    `responseStatus`.
    """

    type = "invalid_request_error"
    kind = "malformed"

    def __init__(
        self,
        problem: str,
        *,
        remedy: str | None = None,
        error_code: str = ARGUMENT,
        answered: int = 400,
        problems: Sequence[FieldProblem] = (),
        meta: Mapping[str, str] | None = None,
        beside: Mapping[str, Any] | None = None,
        job_id: str | None = None,
    ) -> None:
        super().__init__(problem, remedy=remedy, code=error_code, job_id=job_id)
        self.answered = answered
        self.problems = tuple(problems)
        self.meta = dict(meta or {})
        self.beside = dict(beside or {})


def missing(name: str) -> ServiceError:
    """The error for something that has to be given."""
    return ServiceError(
        f"Value cannot be null. (Parameter '{name}')",
        error_code="ArgumentNullException",
        problems=(FieldProblem("ArgumentNullException", name, f"'{name}' must not be null."),),
    )


def unsupported(what: str) -> ServiceError:
    """The error for what no configured model can do."""
    return ServiceError(
        f"no configured model can do {what}", error_code="NotSupportedException", answered=405
    )


def not_found(what: str) -> ServiceError:
    """The error for what is not there, or not for this caller."""
    return ServiceError(f"{what} not found", error_code="NotFound", answered=404)


def error_status(error: AppError) -> int:
    """The status of an answer with this error."""
    if isinstance(error, ServiceError):
        return error.answered
    return next((status for kind, status in STATUSES if isinstance(error, kind)), error.status)


def error_object(error: AppError, path: str) -> dict[str, Any]:  # noqa: ARG001
    """The body of every request that fails."""
    beside = error.beside if isinstance(error, ServiceError) else {}
    return {"responseStatus": status_object(error)} | beside


def status_object(error: AppError) -> dict[str, Any]:
    """`responseStatus`."""
    code, message = code_of(error), message_of(error)
    status: dict[str, Any] = {"errorCode": code, "message": message}
    problems: Sequence[FieldProblem] = ()
    meta = {"jobId": error.job_id} if isinstance(error, TimedOut) and error.job_id else {}
    if isinstance(error, ServiceError):
        problems, meta = error.problems, error.meta
    if not problems and error.param:
        problems = (FieldProblem(code, error.param, message),)
    if problems:
        status["errors"] = [problem.to_wire() for problem in problems]
    return status | ({"meta": meta} if meta else {})


def code_of(error: AppError) -> str:
    """`errorCode`."""
    if isinstance(error, ServiceError):
        return error.code
    return next((code for kind, code in CODES if isinstance(error, kind)), "Exception")


def message_of(error: AppError) -> str:
    """`message`."""
    text = error.explanation
    match error:
        case Unauthenticated():
            text = REFUSED[error.why]
        case Cancelled():
            text = "Job was cancelled"
        case InternalError() | UpstreamError() if error.job_id:
            text = f"Job failed: {text}"
    return displayable(text)
