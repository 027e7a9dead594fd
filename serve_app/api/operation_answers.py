"""Answers to requests with the fields of `JobBody`: straight from a family, as a stream, or from a
job that is waited for or goes on by itself.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

from fastapi.responses import Response

from serve_app.api.answers import AnswerOutput, PlainText
from serve_app.api.call import Call
from serve_app.api.caller_jobs import finished_result
from serve_app.api.job_body import JobBody
from serve_app.api.json_answer import json_response
from serve_app.api.observation import observed
from serve_app.api.repetition import repeatable_of
from serve_app.api.runs import JobOptions, run, run_text, stream, submission_of, submit
from serve_app.core.jobs import Job, Repeatable, Submission
from serve_app.core.operation import Operation

T = TypeVar("T")
QUEUED = ("priority",)
"""Fields that only a job in a queue has a use for."""
NO_OUTPUT = AnswerOutput()


async def text_answer(
    call: Call,
    body: JobBody,
    operation: Operation[Any],
    answer: Callable[[], Awaitable[Any]],
    *,
    output: AnswerOutput = NO_OUTPUT,
    idle: tuple[str, ...] = (),
) -> Response:
    """Of a text operation: straight from its family, unless something asks for a durable job.
    `idle` are fields that have no effect on the model that it is for.
    """
    if body.needs_job(call.request.headers):
        return await job_answer(call, body, operation, output, idle=idle)
    submission = await _submission(call, body, operation, output)
    content = await run_text(call, submission, answer)
    for each in content if isinstance(content, list) else (content,):
        observed(call.request).note_usage(each)
    return json_response(content, _headers(submission.id, body, *idle, *QUEUED))


async def streamed(
    call: Call,
    body: JobBody,
    operation: Operation[Any],
    events: AsyncIterator[T],
    *,
    idle: tuple[str, ...] = (),
) -> tuple[AsyncGenerator[T], dict[str, str]]:
    """The events of a stream, seen as a job while it lasts, and the headers of its answer. What
    is known to be wrong is raised here, before any byte is sent.
    """
    body.refuse_job(call.request.headers)
    submission = await _submission(call, body, operation, NO_OUTPUT)
    opened = await stream(call, submission, events)
    return opened, _headers(submission.id, body, *idle, *QUEUED)


async def job_answer(
    call: Call,
    body: JobBody,
    operation: Operation[Any],
    output: AnswerOutput = NO_OUTPUT,
    *,
    idle: tuple[str, ...] = (),
) -> Response:
    """The finished job's body, or 202 at once for a caller who does not wait."""
    submission = await job_submission(call, body, operation, output)
    if body.is_async(call.request.headers):
        job = await submit(call, submission)
        return accepted(call, job, _headers(job.id, body, *idle))
    job = await run(call, submission)
    return await finished_answer(call, job, _headers(job.id, body, *idle))


async def job_submission(
    call: Call, body: JobBody, operation: Operation[Any], output: AnswerOutput = NO_OUTPUT
) -> Submission:
    """The durable job that a body asks for. InvalidRequest for a callback that would be refused."""
    repeatable = await repeatable_of(body, operation, call.request)
    return await _submission(call, body, operation, output, repeatable=repeatable)


async def finished_answer(call: Call, job: Job, headers: Mapping[str, str]) -> Response:
    """Of a call that has waited; the error of a job that did not end well is raised."""
    finished_result(job, call.dialect)
    body = await call.dialect.body(job, call.context.files)
    if body is None:
        raise TypeError(f"{job.operation_name} has no answer in {call.dialect.name}")
    if isinstance(body, PlainText):
        kind = {"Content-Type": f"{body.mime}; charset=utf-8"}
        return Response(body.text.encode(), headers=kind | dict(headers))
    return json_response(body, headers)


def accepted(call: Call, job: Job, headers: Mapping[str, str]) -> Response:
    """202: where the job is."""
    url = call.dialect.job_url(job.id, call.context.files)
    told = {"Location": url, "Preference-Applied": "respond-async"}
    response = json_response({"id": job.id, "status": job.status, "url": url}, dict(headers) | told)
    response.status_code = 202
    return response


async def _submission(
    call: Call,
    body: JobBody,
    operation: Operation[Any],
    output: AnswerOutput,
    *,
    repeatable: Repeatable | None = None,
) -> Submission:
    options = JobOptions(
        output=output.stored(),
        ref_id=body.ref_id,
        tag=body.tag,
        priority=body.priority or 0,
        callback_url=body.callback_url,
        repeatable=repeatable,
    )
    return await submission_of(call, operation, options)


def _headers(job_id: str, body: JobBody, *idle: str) -> dict[str, str]:
    return {"X-Job-ID": job_id} | body.ignored(*idle)
