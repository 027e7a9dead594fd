"""Calls of the table's operations: waited for, or queued."""

import secrets
from dataclasses import dataclass, replace
from typing import Any

from fastapi.responses import Response

from serve_app.api.ai_server.arguments import Arguments
from serve_app.api.ai_server.artifact_links import ServiceOutput, base_of
from serve_app.api.ai_server.given_files import GivenFiles
from serve_app.api.ai_server.job_objects import FAILED, job_error, queue_object, status_url
from serve_app.api.ai_server.service_body import ServiceBody, bound, checked_ref_id, checked_texts
from serve_app.api.ai_server.service_error import ServiceError
from serve_app.api.ai_server.table import Row
from serve_app.api.answers import PlainText
from serve_app.api.call import Call
from serve_app.api.caller_jobs import find_job
from serve_app.api.job_body import prefers_async
from serve_app.api.json_answer import json_response
from serve_app.api.repetition import repeatable_of
from serve_app.api.runs import JobOptions, run, submission_of, submit
from serve_app.api.served_files import ServedFiles
from serve_app.core.errors import StillRunning
from serve_app.core.jobs import Job, Repeatable, Submission
from serve_app.core.notices import Notice
from serve_app.core.operation import Operation

JSON_TYPE = "application/json; charset=utf-8"
MANY = "[]"
"""What the path of an array ends with."""
NO_OUTPUTS = "Failed to generate any outputs"


@dataclass(frozen=True)
class Prepared:
    """A call that is ready to run; `status` is the operation by which its job is asked for."""

    submission: Submission
    status: str


def service_response(body: Any, job_id: str | None = None) -> Response:
    """A JSON answer."""
    told = {} if job_id is None else {"X-Job-ID": job_id}
    return json_response(body, {"Content-Type": JSON_TYPE} | told)


def files_of(call: Call) -> ServedFiles:
    """The files of answers, whose addresses are always whole."""
    return ServedFiles(base_of(call.request, call.context), call.context.blobs)


async def prepared(call: Call, row: Row, arguments: Arguments, *, is_queued: bool) -> Prepared:
    """The call of an operation, with everything checked that can be before it runs."""
    body = bound(row.body, arguments)
    files = GivenFiles(call, row.files, arguments)
    operation = await body.to_operation(call, files)
    await files.keep()
    options = job_options(
        call, body, is_queued=is_queued, stem=body.stem(files), notices=body.notices(operation)
    )
    options = replace(options, repeatable=await repetition_of(call, body, operation))
    return Prepared(await submission_of(call, operation, options), row.status)


def job_options(
    call: Call,
    body: ServiceBody,
    *,
    is_queued: bool,
    stem: str | None = None,
    notices: tuple[Notice, ...] = (),
) -> JobOptions:
    """What is asked for besides the operation: in the body, else in headers. Every job has a name
    here.
    """
    headers = call.request.headers
    tag = body.tag or headers.get("tag") or None
    reply_to = body.reply_to or headers.get("replyto") or None
    checked_texts({"tag": tag, "reply_to": reply_to, "state": body.state})
    output = ServiceOutput(
        base=base_of(call.request, call.context),
        key=call.principal.token_number,
        stem=stem,
        state=body.state,
        notices=notices or None,
    )
    return JobOptions(
        output=output.stored(),
        ref_id=checked_ref_id(body.ref_id) if body.ref_id else new_ref_id(),
        tag=tag and tag[:200],
        callback_url=reply_to if is_queued else None,
    )


async def repetition_of(
    call: Call, body: ServiceBody, operation: Operation[Any]
) -> Repeatable | None:
    """What a repetition of the call is known by. The calls of an array would have the same."""
    is_one_of_many = call.request.url.path.endswith(MANY)
    return None if is_one_of_many else await repeatable_of(body, operation, call.request)


def wants_job(call: Call) -> bool:
    """Whether the caller of a synchronous operation does not wait, as `Prefer` says."""
    return prefers_async(call.request.headers)


def accepted(body: dict[str, Any], job: Job) -> Response:
    """202: where the job is asked for."""
    response = service_response(body, job.id)
    response.status_code = 202
    response.headers["Location"] = body["statusUrl"]
    response.headers["Preference-Applied"] = "respond-async"
    return response


def new_ref_id() -> str:
    """32 hexadecimal digits, of which the first is none of a number."""
    return secrets.choice("abcdef") + secrets.token_hex(16)[1:]


async def waited(call: Call, ready: Prepared) -> tuple[dict[str, Any], Job]:
    """The answer of a call that waits. ServiceError 504 when its time is over."""
    try:
        job = await run(call, ready.submission)
    except StillRunning as error:
        raise await timed_out(call, error, ready) from error
    return await answer_of(call, job), job


async def answer_of(call: Call, job: Job) -> dict[str, Any]:
    """The answer with what a job has made; why it has not, as an error."""
    if job.status != "succeeded":
        raise job_error(job, call.dialect)
    body = await call.dialect.body(job, files_of(call))
    if body is None or isinstance(body, PlainText) or body.get("results") == []:
        raise ServiceError(NO_OUTPUTS, error_code=FAILED, answered=500, job_id=job.id)
    return body


async def timed_out(call: Call, error: StillRunning, ready: Prepared) -> ServiceError:
    """The error of a call whose job runs on."""
    assert error.job_id is not None
    job = await find_job(call, error.job_id)
    base = base_of(call.request, call.context)
    meta = {
        "jobId": str(job.number),
        "refId": job.ref_id or "",
        "statusUrl": status_url(base, ready.status, job.ref_id),
    }
    return ServiceError(
        f"the request takes longer than {call.timeout_s:g} s",
        remedy="its job runs on",
        error_code="TimeoutException",
        answered=504,
        meta=meta,
        job_id=job.id,
    )


async def queued(call: Call, ready: Prepared) -> tuple[dict[str, Any], Job]:
    """The answer of a call that does not wait."""
    job = await submit(call, ready.submission)
    return queue_object(job, base_of(call.request, call.context), ready.status), job
