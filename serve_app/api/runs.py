"""How every dialect runs operations: waited for, as a stream, or as a job that goes on by itself.

Errors of operations name fields of the core. Here, and nowhere else, they are made to name those
of the dialect that is spoken.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starlette.requests import Request

from serve_app.access.tokens import Principal
from serve_app.api.archive_entries import visible_owner
from serve_app.api.context import Context
from serve_app.api.dialect import JOB, Dialect, dialect_in
from serve_app.api.errors import BEGUN_JOB
from serve_app.api.observation import observed
from serve_app.core.early_end import EarlyEnd
from serve_app.core.errors import AppError, Cancelled, InternalError
from serve_app.core.jobs import Job, Repeatable, Submission
from serve_app.core.message import Message
from serve_app.core.operation import Operation
from serve_app.jobs.callbacks import check_callback
from serve_app.jobs.direct import new_job_id
from serve_app.runtime.streams import started

T = TypeVar("T")


@dataclass(frozen=True)
class Call:
    """A request, who makes it, and the dialect that it is made in."""

    context: Context
    principal: Principal
    request: Request
    dialect: Dialect

    @property
    def timeout_s(self) -> float:
        """How long it waits for its job."""
        limits = self.context.config.jobs.sync_timeout_s
        return limits.get(self.dialect.name, self.dialect.sync_timeout_s)


@dataclass(frozen=True)
class JobOptions:
    """What a caller may ask for besides the operation. `output` is what the dialect needs to write
    the result; `repeatable` is what a repetition of the call is known by.
    """

    output: Mapping[str, Any] = field(default_factory=dict)
    ref_id: str | None = None
    tag: str | None = None
    priority: int = 0
    callback_url: str | None = None
    repeatable: Repeatable | None = None


NONE = JobOptions()


def call_in(request: Request, context: Context, principal: Principal) -> Call:
    """The call that a route was given."""
    return Call(context, principal, request, dialect_in(request.scope))


async def submission_of(
    call: Call, operation: Operation[Any], options: JobOptions = NONE
) -> Submission:
    """The job to be. InvalidRequest for a callback that would be refused."""
    if options.callback_url is not None:
        own = call.dialect.own_field("callback_url", JOB) or "callback"
        await check_callback(options.callback_url, call.context.config.limits, param=own)
    return Submission(
        id=new_job_id(),
        operation=operation,
        owner=call.principal.owner,
        dialect=call.dialect.name,
        ref_id=options.ref_id,
        tag=options.tag,
        priority=options.priority,
        callback_url=options.callback_url,
        output={name: value for name, value in options.output.items() if value is not None},
        repeatable=options.repeatable,
    )


async def submit(call: Call, submission: Submission) -> Job:
    """The job, which nobody waits for."""
    observed(call.request).note_operation(submission.operation, is_streamed=False)
    with dialect_errors(call.dialect, JOB):
        job = await call.context.jobs.submit(submission)
    _note_begun(call, job.id)
    return job


async def run(call: Call, submission: Submission) -> Job:
    """The job when it has ended, well or not. StillRunning when the dialect's limit passes."""
    noted = observed(call.request)
    noted.note_operation(submission.operation, is_streamed=False)
    with dialect_errors(call.dialect, JOB):
        job = await call.context.jobs.run(submission, timeout_s=call.timeout_s)
    noted.note_job(job)
    _note_begun(call, job.id)
    return job


async def run_text(call: Call, submission: Submission, work: Callable[[], Awaitable[T]]) -> T:
    """What `work` makes of a text operation that goes straight to its family."""
    observed(call.request).note_operation(submission.operation, is_streamed=False)
    _note_begun(call, submission.id)
    with dialect_errors(call.dialect, submission.operation.name):
        return await call.context.direct_jobs.run(submission, work, timeout_s=call.timeout_s)


async def stream(call: Call, submission: Submission, items: AsyncIterator[T]) -> AsyncGenerator[T]:
    """The items, seen as a job while they come. What is known to be wrong is raised here, before
    any byte is sent.
    """
    noted = observed(call.request)
    noted.note_operation(submission.operation, is_streamed=True)
    _note_begun(call, submission.id)
    watched = call.context.direct_jobs.watched(
        submission,
        items,
        note=noted.note_item,
        explained=dialect_errors(call.dialect, submission.operation.name),
    )
    return await started(watched)


async def find_job(call: Call, name: str) -> Job:
    """A job that the caller may see, by its id, its number or its `ref_id`."""
    owner = visible_owner(call.principal)
    found = call.context.direct_jobs.find(name, owner=owner)
    if found is None:
        with dialect_errors(call.dialect, JOB):
            found = await call.context.job_store.get(name, owner=owner, own=call.principal.owner)
    return in_dialect(found, call.dialect)


async def cancel(call: Call, name: str) -> Job:
    """Stop a job that the caller may see. Conflict when it has ended."""
    job, context = await find_job(call, name), call.context
    with dialect_errors(call.dialect, JOB):
        if context.direct_jobs.find(job.id, owner=None) is not None:
            cancelled = context.direct_jobs.cancel(job.id)
        else:
            cancelled = await context.jobs.cancel(job.id)
    return in_dialect(cancelled, call.dialect)


async def end_early(call: Call, name: str, what: EarlyEnd) -> Job:
    """Have a job that the caller may see end with what is there, or go on without the piece that is
    being made; see JobRunner. Conflict when it has ended.
    """
    job, jobs = await find_job(call, name), call.context.jobs
    with dialect_errors(call.dialect, JOB):
        asked = await (jobs.finish(job.id) if what == "finish" else jobs.skip(job.id))
    return in_dialect(asked, call.dialect)


def in_dialect(job: Job, dialect: Dialect) -> Job:
    """The job as a dialect shows it: without what another one has kept with it, and its failure
    about a field of the dialect's.
    """
    changes: dict[str, Any] = {} if job.dialect == dialect.name else {"output": {}}
    if job.failure is not None:
        param = dialect.own_field(job.failure.param, job.operation_name)
        changes["failure"] = job.failure.model_copy(update={"param": param})
    return job.model_copy(update=changes) if changes else job


def finished_result(job: Job, dialect: Dialect) -> Message:
    """The result of a job that ended well; else its error is raised."""
    if job.result is not None:
        return job.result
    error = failure(job, dialect) or InternalError("the job has no result")
    if job.status == "cancelled" and not isinstance(error, Cancelled):
        error = Cancelled("the job was cancelled")
    error.job_id = job.id
    raise error


def failure(job: Job, dialect: Dialect) -> AppError | None:
    """Why a job failed, in the words of a dialect."""
    reason = in_dialect(job, dialect).failure
    return reason.error() if reason else None


def _note_begun(call: Call, job_id: str) -> None:
    """For the answer of a call that fails. The error itself may be that of several callers."""
    call.request.scope["state"][BEGUN_JOB] = job_id


@contextmanager
def dialect_errors(dialect: Dialect, operation: str) -> Iterator[None]:
    """Within it, errors about a field of the operation, or of a job (`JOB`), name the dialect's."""
    try:
        yield
    except AppError as error:
        raise error.about(dialect.own_field(error.param, operation)) from error.__cause__
