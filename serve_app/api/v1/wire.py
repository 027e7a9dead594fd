"""What bodies and answers of the native dialect share."""

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from serve_app.api.wire_object import WireObject
from serve_app.blobs.spooled_text import STAND_IN

HEADER_CHARACTERS = 1000


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


class Body(WireObject):
    """A request body: unknown fields are kept, so that they can be reported as ignored.

    `without_effect` names declared fields that this version accepts and does not act on.
    """

    model_config = ConfigDict(extra="allow")

    def without_effect(self) -> Iterable[str]:
        """Declared fields that were sent and have no effect."""
        return ()

    def sent(self, *names: str) -> list[str]:
        """Those of the declared fields that were sent."""
        return [name for name in names if getattr(self, name) is not None]

    def ignored_names(self) -> list[str]:
        """Unknown fields and those without effect."""
        return [*(self.model_extra or {}), *self.without_effect()]

    def ignored(self, *idle: str) -> dict[str, str]:
        """The `X-Ignored-Fields` header, empty when nothing was ignored. `idle` are fields that
        have no effect where the answer comes from.
        """
        return ignored_header([*self.ignored_names(), *self.sent(*idle)])


def ignored_header(names: Iterable[str]) -> dict[str, str]:
    """`X-Ignored-Fields` for these names; a header carries printable ASCII only, and no name of a
    megabyte, nor what stands in for it.
    """
    kept = [name for name in names if name.isascii() and name.isprintable()]
    kept = [name for name in kept if not name.startswith(STAND_IN)]
    value = ",".join(dict.fromkeys(kept))
    if len(value) > HEADER_CHARACTERS:
        value = value[:HEADER_CHARACTERS].rpartition(",")[0] or value[:HEADER_CHARACTERS]
    return {"X-Ignored-Fields": value} if value else {}
