"""The one error tree: raised where the fact is known, rendered in `serve_app.api.errors`.

    AppError
    ├── InvalidRequest (400)
    │   ├── UnsupportedCapability
    │   └── ContextLengthExceeded
    ├── Unauthenticated (401)
    ├── Forbidden (403)
    ├── NotFound (404)
    │   └── ModelNotFound
    ├── MethodNotAllowed (405)
    ├── Conflict (409)
    ├── PreconditionFailed (412)
    ├── PayloadTooLarge (413)
    ├── UnsupportedMedia (415)
    ├── RateLimited (429)
    │   └── BudgetExceeded
    ├── Cancelled (499)
    ├── InternalError (500)
    ├── UpstreamError (502)
    ├── Unavailable (503)
    │   ├── QueueFull
    │   ├── ModelNotReady
    │   └── BackendUnavailable
    └── TimedOut (504)
        └── StillRunning

Serve re-raises an error that crossed a handle as an instance of a subclass made on the fly, which
forwards unknown attributes to the original: match with `isinstance`, read `.message` (never
`str(error)`, which holds the remote traceback), and keep per-instance values off the class.
"""

from copy import copy
from typing import Any, ClassVar, Literal, Self

Kind = Literal["malformed", "overflow", "network", "cancelled", "unknown"]
ErrorType = Literal[
    "invalid_request_error", "permission_error", "rate_limit_error", "cancelled", "server_error"
]


class AppError(Exception):
    """A failure that has a place in the HTTP contract.

    `problem` is what is wrong, in lower case and with the name of the thing, `remedy` what would
    work; `message`, which callers are shown, is both. `param` is the path of a field of the
    operation, which the message does not begin with: every dialect has its own name for it.
    `provider` is the engine or upstream that failed. `retry_after_s` is set where trying again can
    succeed. `stage` is the innermost stage of a pipeline that failed.
    """

    status: ClassVar[int] = 500
    default_code: ClassVar[str] = "internal_error"
    type: ClassVar[ErrorType] = "server_error"
    kind: ClassVar[Kind] = "unknown"

    def __init__(
        self,
        problem: str,
        *,
        remedy: str | None = None,
        param: str | None = None,
        provider: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
        job_id: str | None = None,
        stage: str | None = None,
    ) -> None:
        super().__init__(told(problem, remedy))
        self.problem = problem
        self.remedy = remedy
        self.param = param
        self.provider = provider
        self.code = code or self.default_code
        self.retry_after_s = retry_after_s
        self.job_id = job_id
        self.stage = stage

    @property
    def message(self) -> str:
        """What is wrong, and what would work."""
        return told(self.problem, self.remedy)

    @property
    def explanation(self) -> str:
        """The message, after the name of the stage that failed."""
        return f"stage {self.stage!r}: {self.message}" if self.stage else self.message

    def about(self, param: str | None) -> Self:
        """The same failure of another field. This one stays: all of a micro-batch may have it."""
        changed = copy(self)
        changed.param = param
        return changed.with_traceback(self.__traceback__)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message,), self.__dict__


def told(problem: str, remedy: str | None) -> str:
    """Both as one text."""
    return problem if remedy is None else f"{problem}; {remedy}"


class InvalidRequest(AppError):
    """The request is wrong; the same request will always be wrong."""

    status = 400
    default_code = "invalid_request"
    type = "invalid_request_error"
    kind: ClassVar[Kind] = "malformed"


class UnsupportedCapability(InvalidRequest):
    """The model exists but cannot do this."""

    default_code = "unsupported_capability"


class ContextLengthExceeded(InvalidRequest):
    """The text prompt does not fit into the model's context."""

    default_code = "context_length_exceeded"
    kind = "overflow"


class Unauthenticated(AppError):
    """No credential, or one that is unknown, expired or revoked; `why` where that is known."""

    status = 401
    default_code = "invalid_api_key"
    type = "invalid_request_error"
    kind = "malformed"
    why: Literal["expired", "revoked"] | None = None


class Forbidden(AppError):
    """`code` is one of insufficient_scope, host_not_allowed, not_owner, csrf_failed."""

    status = 403
    default_code = "insufficient_scope"
    type = "permission_error"
    kind = "malformed"


class NotFound(AppError):
    """A route, file, job, profile or voice that does not exist for this caller."""

    status = 404
    default_code = "not_found"
    type = "invalid_request_error"
    kind = "malformed"


class ModelNotFound(NotFound):
    """An unknown model id or alias."""

    default_code = "model_not_found"


class MethodNotAllowed(AppError):
    """The path exists, the method does not."""

    status = 405
    default_code = "method_not_allowed"
    type = "invalid_request_error"
    kind = "malformed"


class Conflict(AppError):
    """A duplicate name, or a state that does not allow the request."""

    status = 409
    default_code = "conflict"
    type = "invalid_request_error"
    kind = "malformed"


class PreconditionFailed(AppError):
    """What was to be changed is no longer as the caller knows it."""

    status = 412
    default_code = "precondition_failed"
    type = "invalid_request_error"
    kind = "malformed"


class PayloadTooLarge(AppError):
    """A body or a medium over a limit."""

    status = 413
    default_code = "payload_too_large"
    type = "invalid_request_error"
    kind = "overflow"


class UnsupportedMedia(AppError):
    """An upload that is not an image, audio or video."""

    status = 415
    default_code = "unsupported_media_type"
    type = "invalid_request_error"
    kind = "malformed"


class RateLimited(AppError):
    """A rate or concurrency limit of the caller's token."""

    status = 429
    default_code = "rate_limit_exceeded"
    type = "rate_limit_error"
    kind = "network"


class BudgetExceeded(RateLimited):
    """The caller's token has used all that it may use until `retry_after_s` have passed."""

    default_code = "insufficient_quota"


class Cancelled(AppError):
    """The client left, or the job was cancelled."""

    status = 499
    default_code = "cancelled"
    type = "cancelled"
    kind = "cancelled"


class InternalError(AppError):
    """Unclassified; the message never holds a stack or a path. `request_id` where it is known."""

    request_id: str | None = None


class UpstreamError(AppError):
    """An external provider answered wrongly."""

    status = 502
    default_code = "upstream_error"


class Unavailable(AppError):
    """Nobody can answer now; with `retry_after_s` it may pass, without it it will not."""

    status = 503
    default_code = "backend_unavailable"
    kind = "network"


class QueueFull(Unavailable):
    """The admission queue of the model is at capacity."""

    default_code = "queue_full"


class ModelNotReady(Unavailable):
    """The model is being downloaded or loaded."""

    default_code = "model_not_ready"


class BackendUnavailable(Unavailable):
    """The engine is not installed, its model cannot be had, or it is out of service."""


class TimedOut(AppError):
    """Something took longer than it may, and was stopped."""

    status = 504
    default_code = "timeout"
    kind = "network"


class StillRunning(TimedOut):
    """The caller's limit passed; the job `job_id` keeps running."""
