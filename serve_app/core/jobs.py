"""Jobs: what a caller submits, what a job is, and who runs jobs."""

from typing import Annotated, Any, Literal, Protocol

from pydantic import AfterValidator, Field, JsonValue, SkipValidation, StringConstraints

from serve_app.core.early_end import EarlyEnd
from serve_app.core.errors import (
    AppError,
    BackendUnavailable,
    Cancelled,
    Conflict,
    ContextLengthExceeded,
    InternalError,
    InvalidRequest,
    ModelNotFound,
    ModelNotReady,
    NotFound,
    PayloadTooLarge,
    QueueFull,
    TimedOut,
    Unavailable,
    UnsupportedCapability,
    UnsupportedMedia,
    UpstreamError,
)
from serve_app.core.media import Blob
from serve_app.core.message import Message
from serve_app.core.notices import Notice
from serve_app.core.operation import Operation
from serve_app.core.operations import Unreadable

JobStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]
FINAL: frozenset[JobStatus] = frozenset({"succeeded", "failed", "cancelled"})
JOB_PREFIX = "job-"
KEY_HEADER = "Idempotency-Key"
"""By which callers name a call that they may repeat."""
NATIVE = "v1"
"""The dialect of jobs that name none."""


def _is_no_job_of_ours(name: str) -> str:
    if name.isdigit() or name.lower().startswith(JOB_PREFIX):
        raise ValueError("names of digits only, or that begin with 'job-', are reserved")
    return name


RefId = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,128}$"),
    AfterValidator(_is_no_job_of_ours),
]
"""A caller's own name for a job, which must not be mistaken for a job's number or id."""
FAILURES: dict[str, type[AppError]] = {
    kind.__name__: kind
    for kind in (
        InvalidRequest,
        UnsupportedCapability,
        ContextLengthExceeded,
        NotFound,
        ModelNotFound,
        Conflict,
        PayloadTooLarge,
        UnsupportedMedia,
        Cancelled,
        InternalError,
        UpstreamError,
        Unavailable,
        QueueFull,
        ModelNotReady,
        BackendUnavailable,
        TimedOut,
    )
}


class Failure(Message):
    """An AppError at rest: the name of its class and what it says; `message` is its problem."""

    kind: str
    message: str
    code: str
    param: str | None = None
    provider: str | None = None
    stage: str | None = None
    remedy: str | None = None

    def error(self) -> AppError:
        """The error, to be raised again. It will not pass by itself."""
        return FAILURES.get(self.kind, InternalError)(
            self.message,
            remedy=self.remedy,
            param=self.param,
            provider=self.provider,
            code=self.code,
            stage=self.stage,
        )


def failure_of(error: AppError) -> Failure:
    """The failure that `Failure.error` turns back; of a class made on the fly, its nearest kin."""
    kind = next((c.__name__ for c in type(error).__mro__ if c.__name__ in FAILURES), "AppError")
    return Failure(
        kind=kind,
        message=error.problem,
        remedy=error.remedy,
        code=error.code,
        param=error.param,
        provider=error.provider,
        stage=error.stage,
    )


class StageState(Message):
    """Where a stage of a job is; `seconds` is how long a finished one took, `device_seconds` how
    long replicas of families were busy with it.
    """

    name: str
    status: Literal["pending", "running", "succeeded", "failed"] = "pending"
    seconds: float | None = None
    device_seconds: float | None = None


class JobProgress(Message):
    """How far a job is, in the units of its phase; `percent` is over all stages. `preview` is the
    last one there was, whose bytes may be gone.
    """

    current: int = 0
    total: int | None = None
    percent: float | None = None
    phase: str | None = None
    per_second: float | None = None
    eta_s: float | None = None
    preview: Blob | None = None


class JobWarning(Notice):
    """A soft failure and the revision of the job that brought it."""

    revision: int


class Repeatable(Message):
    """What a repetition of a call is known by. `digest` is that of its path and body, `key` the
    caller's own. With `is_again` the client says that it repeats a call, and with `may_return` it
    is one that comes back when it has not heard the answer.
    """

    digest: str
    key: str | None = None
    is_again: bool = False
    may_return: bool = False


class Submission(Message):
    """A job to be. `id` is chosen by the caller, so that handing it in twice makes one job.
    `output` is what its `dialect` needs to write the result, and of no concern to anybody else.
    `is_awaited` by a caller who stays for the result. `token` is the id of the one that it came
    with, 0 without. `hops` is how many other servers like this one the request has passed.
    """

    id: str
    # To pydantic an operation of one result is none of another, nor of any.
    operation: SkipValidation[Operation[Any]]
    owner: str
    token: int = 0
    dialect: str = NATIVE
    ref_id: RefId | None = None
    tag: str | None = None
    priority: int = 0
    callback_url: str | None = None
    output: dict[str, JsonValue] = Field(default_factory=dict)
    repeatable: Repeatable | None = None
    is_awaited: bool = False
    hops: int = 0


class Job(Message):
    """A job as it is now. Times are unix seconds. `position` counts from 1 while it is queued.
    `files` maps hashes of the result's blobs to the names under which they are archived. `left_at`
    is when its caller left, unless somebody waits for it again. `asked_for` is an early end that
    somebody wants and that is not done yet.
    """

    id: str
    number: int
    operation_name: str
    operation: SkipValidation[Operation[Any] | Unreadable]
    output: dict[str, JsonValue]
    owner: str
    ref_id: str | None
    tag: str | None
    model: str | None
    status: JobStatus
    created_at: float
    started_at: float | None
    finished_at: float | None
    revision: int
    position: int | None
    progress: JobProgress
    stages: tuple[StageState, ...]
    warnings: tuple[JobWarning, ...]
    result: Message | None
    files: dict[str, str]
    failure: Failure | None
    callback_url: str | None
    left_at: float | None = None
    dialect: str = NATIVE
    asked_for: EarlyEnd | None = None
    hops: int = 0

    @property
    def is_final(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in FINAL


class JobRunner(Protocol):
    """Runs jobs to their end, whatever process dies meanwhile."""

    async def submit(self, submission: Submission) -> Job:
        """Accept the job and return at once; the job that is there when the call is a repetition.
        Conflict for a `ref_id` that the owner has used, QueueFull when too many wait.
        """
        ...

    async def run(self, submission: Submission, *, timeout_s: float) -> Job:
        """Submit and wait for the end. StillRunning, with the job's id, when it takes longer; the
        job keeps running.
        """
        ...

    async def cancel(self, job_id: str) -> Job:
        """Stop the job at its next step. Conflict when it is finished, NotFound when unknown."""
        ...

    async def finish(self, job_id: str) -> Job:
        """End the job well with the pieces of its result that are there. As `cancel`, and
        UnsupportedCapability for one that has no pieces.
        """
        ...

    async def skip(self, job_id: str) -> Job:
        """Leave out the piece of the result that is being made, and go on. As `finish`."""
        ...
