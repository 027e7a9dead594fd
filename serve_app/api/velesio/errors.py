"""Errors in Velesio's shape, and those of streams in llama.cpp's."""

from typing import Any

from pydantic import BaseModel

from serve_app.core.errors import (
    AppError,
    Cancelled,
    Forbidden,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    ModelNotFound,
    ModelNotReady,
    NotFound,
    PayloadTooLarge,
    QueueFull,
    RateLimited,
    TimedOut,
    Unauthenticated,
    Unavailable,
)

CODES: tuple[tuple[type[AppError], str], ...] = (
    (Unauthenticated, "unauthorized"),
    (Forbidden, "forbidden"),
    (ModelNotFound, "model_not_found"),
    (NotFound, "not_found"),
    (MethodNotAllowed, "method_not_allowed"),
    (PayloadTooLarge, "payload_too_large"),
    (RateLimited, "rate_limit_exceeded"),
    (Cancelled, "cancelled"),
    (QueueFull, "queue_full"),
    (ModelNotReady, "model_not_ready"),
    (Unavailable, "backend_unavailable"),
    (TimedOut, "timeout"),
    (InvalidRequest, "invalid_request"),
)
"""The first that fits counts. Of what is not listed, the client is at fault below 500."""
MESSAGE_CHARACTERS = 2000
STREAMED_CHARACTERS = 500
"""Of a message that has to fit into one frame."""


class VelesioErrorDetail(BaseModel):
    """What went wrong; `details` names the field and what would work, or is empty."""

    code: str
    message: str
    details: str


class VelesioErrorResponse(BaseModel):
    """The body of every failed request."""

    error: VelesioErrorDetail


_ERROR = {"model": VelesioErrorResponse}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: _ERROR | {"description": text}
    for status, text in (
        (400, "The request is invalid; `details` names the field."),
        (401, "There is no valid credential."),
        (404, "The model, job or route does not exist."),
        (413, "The body exceeds a limit."),
        (429, "The token's rate or concurrency limit is reached."),
        (500, "The server failed."),
        (503, "The model is busy, loading or unavailable."),
        (504, "The time limit passed; `details` is the job that continues."),
        # Without it FastAPI would list a 422, which this server never answers.
        ("default", "Any other error."),
    )
}


def error_code(error: AppError) -> str:
    """Velesio's name for an error."""
    known = next((code for kind, code in CODES if isinstance(error, kind)), None)
    if known is not None:
        return known
    return "invalid_request" if error.status < InternalError.status else "internal_error"


def error_detail(error: AppError) -> dict[str, str]:
    """The code, the message and the details."""
    message = _plain(error.explanation)[:MESSAGE_CHARACTERS]
    remedy = _plain(error.remedy or "")[:MESSAGE_CHARACTERS]
    if isinstance(error, TimedOut) and error.job_id:
        details = error.job_id
    else:
        details = ": ".join(filter(None, (_plain(error.param or ""), remedy)))
    return {"code": error_code(error), "message": message, "details": details}


def error_object(error: AppError, path: str) -> dict[str, Any]:  # noqa: ARG001
    """The body of every failed request."""
    return {"error": error_detail(error)}


def llama_error(error: AppError, path: str) -> dict[str, Any]:  # noqa: ARG001
    """The last frame of a stream of llama.cpp's, whose clients take the text `data: ` in it for the
    beginning of another frame.
    """
    message = _plain(error.explanation)[:STREAMED_CHARACTERS].replace("data: ", "data:")
    return {"error": {"code": error.status, "message": message, "type": error_code(error)}}


def _plain(text: str) -> str:
    """Without the lone surrogates that UTF-8 cannot carry."""
    return text.encode("utf-8", "replace").decode()
