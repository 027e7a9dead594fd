"""Requests that are jobs: waited for, or answered at once with where the job is."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from fastapi.responses import Response
from starlette.requests import Request

from serve_app.access.tokens import Principal
from serve_app.api.answers import AnswerOutput
from serve_app.api.context import Context
from serve_app.api.job_body import JobBody
from serve_app.api.json_answer import json_response
from serve_app.api.observation import observed
from serve_app.api.repetition import repeatable_of
from serve_app.api.runs import (
    Call,
    JobOptions,
    call_in,
    finished_result,
    run,
    run_text,
    stream,
    submission_of,
    submit,
)
from serve_app.api.v1.jobs.job_object import job_response, job_url
from serve_app.core.jobs import Job, Repeatable, Submission
from serve_app.core.operation import Operation

T = TypeVar("T")
QUEUED = ("priority",)
"""Fields that only a job in a queue has a use for."""
NO_OUTPUT = AnswerOutput()


async def text_answer(
    body: JobBody,
    operation: Operation[Any],
    request: Request,
    context: Context,
    principal: Principal,
    answer: Callable[[], Awaitable[dict[str, Any]]],
    *,
    output: AnswerOutput = NO_OUTPUT,
) -> Response:
    """A text operation: straight from its family, unless something asks for a durable job."""
    if body.needs_job(request.headers):
        return await job_answer(body, operation, request, context, principal, output)
    call = call_in(request, context, principal)
    submission = await job_submission(call, body, operation, output)
    content = await run_text(call, submission, answer)
    observed(request).note_usage(content)
    return json_response(content, {"X-Job-ID": submission.id} | body.ignored(*QUEUED))


async def streamed(
    body: JobBody,
    operation: Operation[Any],
    request: Request,
    context: Context,
    principal: Principal,
    events: AsyncIterator[T],
) -> tuple[AsyncGenerator[T], dict[str, str]]:
    """The events of a stream, seen as a job while it lasts, and the headers of its answer. What
    is known to be wrong is raised here, before any byte is sent.
    """
    body.refuse_job(request.headers)
    call = call_in(request, context, principal)
    submission = await job_submission(call, body, operation, NO_OUTPUT)
    return await stream(call, submission, events), {"X-Job-ID": submission.id} | body.ignored(
        *QUEUED
    )


async def job_submission(
    call: Call,
    body: JobBody,
    operation: Operation[Any],
    output: AnswerOutput,
    *,
    repeatable: Repeatable | None = None,
) -> Submission:
    """The job that a body asks for. InvalidRequest for a callback that would be refused."""
    options = JobOptions(
        output=output.stored(),
        ref_id=body.ref_id,
        tag=body.tag,
        priority=body.priority or 0,
        callback_url=body.callback_url,
        repeatable=repeatable,
    )
    return await submission_of(call, operation, options)


async def job_answer(
    body: JobBody,
    operation: Operation[Any],
    request: Request,
    context: Context,
    principal: Principal,
    output: AnswerOutput,
) -> Response:
    """The finished job's body, or 202 at once for a caller who does not wait."""
    call = call_in(request, context, principal)
    repeatable = await repeatable_of(body, operation, request)
    submission = await job_submission(call, body, operation, output, repeatable=repeatable)
    if body.is_async(request.headers):
        job = await submit(call, submission)
        return accepted(job, context, {"X-Job-ID": job.id} | body.ignored())
    job = await run(call, submission)
    headers = {"X-Job-ID": job.id} | body.ignored()
    # Raises what a job that did not end well has failed with.
    finished_result(job, call.dialect)
    return await job_response(job, call.dialect, context.files, headers)


def accepted(job: Job, context: Context, headers: dict[str, str]) -> Response:
    """202: where the job is."""
    url = job_url(job.id, context.files)
    headers = headers | {"Location": url, "Preference-Applied": "respond-async"}
    body = {"id": job.id, "status": job.status, "url": url}
    response = json_response(body, headers)
    response.status_code = 202
    return response
