"""Errors in Coder's shape: a message, details of it, and the rules that fields break."""

from typing import Any

from pydantic import BaseModel

from serve_app.api.errors import displayable
from serve_app.core.errors import (
    AppError,
    Forbidden,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    PreconditionFailed,
    Unauthenticated,
)
from serve_app.core.upstreams.provider_errors import InvalidProvider, UnknownProvider

JSON_TYPE = "application/json; charset=utf-8"
INVALID = "Invalid AI provider request."
UNKNOWN = "Resource not found or you do not have access to this resource"
TITLES: tuple[tuple[type[AppError], str], ...] = (
    (NotFound, "Route not found."),
    (MethodNotAllowed, "Method not allowed."),
    (Forbidden, "Forbidden."),
    (
        Unauthenticated,
        "A valid token is needed; send it in the header 'Coder-Session-Token', or as "
        "'Authorization: Bearer <token>'.",
    ),
    (PreconditionFailed, "Provider was changed."),
)
"""The first that fits counts. What is not listed speaks for itself."""


class UnreadableBody(InvalidRequest):
    """The body is no JSON, or has values of other types than the fields have."""


class CoderViolation(BaseModel):
    """A rule that a field breaks."""

    field: str
    detail: str


class CoderErrorResponse(BaseModel):
    """The body of every failed request."""

    message: str
    detail: str | None = None
    validations: list[CoderViolation] | None = None


_ERROR = {"model": CoderErrorResponse}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: _ERROR | {"description": text}
    for status, text in (
        (400, "The request is invalid; `validations` names every field that is wrong."),
        (401, "There is no valid credential."),
        (403, "The credential lacks the scope `admin`."),
        (404, "The provider or the route does not exist."),
        (409, "The name is taken."),
        (412, "The provider is not as `If-Match` says any more."),
        # Without it FastAPI would list a 422, which this server never answers.
        ("default", "Any other error."),
    )
}


def error_object(error: AppError, path: str) -> dict[str, Any]:  # noqa: ARG001
    """The body of every failed request."""
    if isinstance(error, InvalidProvider):
        broken = [each.model_dump() for each in error.violations]
        return {"message": INVALID, "validations": broken}
    if isinstance(error, UnknownProvider):
        return {"message": UNKNOWN}
    if isinstance(error, UnreadableBody):
        return _titled("Request body must be valid JSON.", error.message)
    if error.status == InternalError.status:
        return _titled("Internal error.", getattr(error, "request_id", None))
    explanation = displayable(error.explanation)
    title = next((title for kind, title in TITLES if isinstance(error, kind)), None)
    return _titled(title, explanation) if title else {"message": explanation or "Failed."}


def _titled(title: str, detail: str | None) -> dict[str, Any]:
    return {"message": title} | ({"detail": displayable(detail)} if detail else {})
