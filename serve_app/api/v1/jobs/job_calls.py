"""Requests that are jobs: waited for, or answered at once with where the job is."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from fastapi.responses import Response
from starlette.requests import Request

from serve_app.access.tokens import Principal
from serve_app.api.answers import AnswerOutput
from serve_app.api.context import Context
from serve_app.api.json_answer import json_response
from serve_app.api.observation import observed
from serve_app.api.v1.jobs.job_body import JobBody
from serve_app.api.v1.jobs.job_object import job_response, job_url
from serve_app.api.v1.jobs.repetition import call_of
from serve_app.core.errors import Cancelled, InternalError
from serve_app.core.jobs import Call, Job, Submission
from serve_app.core.operations import Operation, Result
from serve_app.jobs.callbacks import check_callback
from serve_app.jobs.direct import new_job_id
from serve_app.runtime.streams import started

T = TypeVar("T")
QUEUED = ("priority",)
"""Fields that only a job in a queue has a use for."""
NO_OUTPUT = AnswerOutput()


async def waited(
    body: JobBody,
    operation: Operation,
    request: Request,
    context: Context,
    principal: Principal,
    answer: Callable[[], Awaitable[dict[str, Any]]],
    *,
    output: AnswerOutput = NO_OUTPUT,
) -> Response:
    """A text operation: straight from its family, unless something asks for a durable job."""
    if body.needs_job(request.headers):
        return await called(body, operation, request, context, principal, output)
    submission = await submission_of(body, operation, context, principal, output)
    noted = observed(request)
    noted.note_operation(operation, is_streamed=False)
    content = await context.direct_jobs.run(submission, answer)
    noted.note_usage(content)
    return json_response(content, {"X-Job-ID": submission.id} | body.ignored(*QUEUED))


async def streamed(
    body: JobBody,
    operation: Operation,
    request: Request,
    context: Context,
    principal: Principal,
    events: AsyncIterator[T],
) -> tuple[AsyncGenerator[T], dict[str, str]]:
    """The events of a stream, seen as a job while it lasts, and the headers of its answer. What
    is known to be wrong is raised here, before any byte is sent.
    """
    body.refuse_job(request.headers)
    submission = await submission_of(body, operation, context, principal, NO_OUTPUT)
    noted = observed(request)
    noted.note_operation(operation, is_streamed=True)
    watched = context.direct_jobs.watched(submission, events, note=noted.note_item)
    return await started(watched), {"X-Job-ID": submission.id} | body.ignored(*QUEUED)


async def submission_of(
    body: JobBody,
    operation: Operation,
    context: Context,
    principal: Principal,
    output: AnswerOutput,
    *,
    call: Call | None = None,
) -> Submission:
    """The job. InvalidRequest for a callback that would be refused."""
    if body.callback_url is not None:
        await check_callback(body.callback_url, context.config.limits)
    return Submission(
        id=new_job_id(),
        operation=operation,
        owner=principal.owner,
        ref_id=body.ref_id,
        tag=body.tag,
        priority=body.priority or 0,
        callback_url=body.callback_url,
        output=output.stored(),
        call=call,
    )


async def called(
    body: JobBody,
    operation: Operation,
    request: Request,
    context: Context,
    principal: Principal,
    output: AnswerOutput,
) -> Response:
    """The finished job's body, or 202 at once for a caller who does not wait."""
    call = await call_of(body, operation, request)
    submission = await submission_of(body, operation, context, principal, output, call=call)
    if body.is_async(request.headers):
        observed(request).note_operation(operation, is_streamed=False)
        job = await context.jobs.submit(submission)
        headers = {"X-Job-ID": job.id} | body.ignored()
        return accepted(job, context, headers)
    job = await ran(submission, request, context)
    headers = {"X-Job-ID": job.id} | body.ignored()
    return await job_response(job, finished_result(job), context.answers, headers)


async def ran(submission: Submission, request: Request, context: Context) -> Job:
    """The job when it has ended, well or not."""
    noted = observed(request)
    noted.note_operation(submission.operation, is_streamed=False)
    job = await context.jobs.run(submission, timeout_s=context.config.jobs.sync_timeout_s.v1)
    noted.note_job(job)
    return job


def accepted(job: Job, context: Context, headers: dict[str, str]) -> Response:
    """202: where the job is."""
    url = job_url(job.id, context.answers)
    headers = headers | {"Location": url, "Preference-Applied": "respond-async"}
    body = {"id": job.id, "status": job.status, "url": url}
    response = json_response(body, headers)
    response.status_code = 202
    return response


def finished_result(job: Job) -> Result:
    """The result of a job that ended well; else its error, which names the job."""
    if job.result is not None:
        return job.result
    error = job.failure.error() if job.failure else InternalError("the job has no result")
    if job.status == "cancelled" and not isinstance(error, Cancelled):
        error = Cancelled("the job was cancelled")
    error.job_id = job.id
    raise error
