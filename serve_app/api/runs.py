"""How every dialect runs operations: waited for, streamed, or as jobs that go on by themselves."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from serve_app.api.call import Call, dialect_errors
from serve_app.api.caller_jobs import result_of
from serve_app.api.charged_work import check_budget
from serve_app.api.dialect import JOB
from serve_app.api.errors import BEGUN_JOB
from serve_app.api.observation import observed
from serve_app.core.costs import ANSWERING
from serve_app.core.jobs import Job, Repeatable, Submission
from serve_app.core.operation import Operation, R
from serve_app.core.upstreams.hops import HOPS
from serve_app.jobs.callbacks import check_callback
from serve_app.jobs.direct import new_job_id
from serve_app.runtime.streams import started

T = TypeVar("T")


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


async def submission_of(
    call: Call, operation: Operation[Any], options: JobOptions = NONE
) -> Submission:
    """The job to be. InvalidRequest for a callback that would be refused, BudgetExceeded when the
    caller's token has no budget left for any.
    """
    principal = call.principal
    if principal.budget is not None:
        await check_budget(call.context, principal)
    if options.callback_url is not None:
        own = call.dialect.own_field("callback_url", JOB) or "callback"
        await check_callback(options.callback_url, call.context.config.limits, param=own)
    return Submission(
        id=new_job_id(),
        operation=operation,
        owner=principal.owner,
        token=principal.token_number,
        dialect=call.dialect.name,
        ref_id=options.ref_id,
        tag=options.tag,
        priority=options.priority,
        callback_url=options.callback_url,
        output={name: value for name, value in options.output.items() if value is not None},
        repeatable=options.repeatable,
        hops=HOPS.get(),
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


async def run_to_result(
    call: Call, operation: Operation[R, Any], options: JobOptions = NONE
) -> tuple[Job, R]:
    """The job when it has ended well, and its result. As `run`, and the error of any other job."""
    job = await run(call, await submission_of(call, operation, options))
    return job, result_of(job, operation, call.dialect)


async def run_text(call: Call, submission: Submission, work: Callable[[], Awaitable[T]]) -> T:
    """What `work` makes of a text operation that goes straight to its family."""
    noted = observed(call.request)
    noted.note_operation(submission.operation, is_streamed=False)
    ANSWERING.set(noted.note_ran)
    _note_begun(call, submission.id)
    with dialect_errors(call.dialect, submission.operation.name):
        return await call.context.direct_jobs.run(submission, work, timeout_s=call.timeout_s)


async def stream(call: Call, submission: Submission, items: AsyncIterator[T]) -> AsyncGenerator[T]:
    """The items, seen as a job while they come. What is known to be wrong is raised here, before
    any byte is sent.
    """
    noted = observed(call.request)
    noted.note_operation(submission.operation, is_streamed=True)
    ANSWERING.set(noted.note_ran)
    _note_begun(call, submission.id)
    watched = call.context.direct_jobs.watched(
        submission,
        items,
        note=noted.note_item,
        explained=dialect_errors(call.dialect, submission.operation.name),
    )
    return await started(watched)


def _note_begun(call: Call, job_id: str) -> None:
    """For the answer of a call that fails. The error itself may be that of several callers."""
    call.request.scope["state"][BEGUN_JOB] = job_id
