"""What the routes of the native dialect say of their errors."""

from typing import Any, Literal

from pydantic import BaseModel


class ErrorDetail(BaseModel):
    """What went wrong; unused keys are null."""

    message: str
    type: str
    code: str
    param: str | None
    kind: Literal["malformed", "overflow", "network", "cancelled", "unknown"]
    provider: str | None
    job_id: str | None = None


class ErrorResponse(BaseModel):
    """The body of every failed request."""

    error: ErrorDetail


_ERROR = {"model": ErrorResponse}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: _ERROR | {"description": text}
    for status, text in (
        (400, "The request is invalid; `param` names the field."),
        (401, "There is no valid credential."),
        (403, "The credential, or the host or page of the request, does not allow this."),
        (404, "The model, file or route does not exist."),
        (413, "The body or a media file exceeds a limit."),
        (415, "The upload is not a readable image, audio file or video."),
        (429, "The token's rate or concurrency limit is reached."),
        (500, "The server failed."),
        (503, "The model is busy, loading or unavailable."),
        (504, "The time limit of a synchronous request passed."),
        # Without it FastAPI would list a 422, which this server never answers.
        ("default", "Any other error."),
    )
}
