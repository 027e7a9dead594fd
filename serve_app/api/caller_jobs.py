"""The jobs that a caller may see: found, listed, cancelled or ended early, and their results."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from serve_app.api.archive_entries import visible_owner
from serve_app.api.call import Call, dialect_errors
from serve_app.api.dialect import JOB, Dialect
from serve_app.core.early_end import EarlyEnd
from serve_app.core.errors import AppError, Cancelled, InternalError
from serve_app.core.jobs import Job, JobWarning
from serve_app.core.message import Message
from serve_app.core.operation import Operation, R
from serve_app.jobs.reader import JobQuery

Render = Callable[[Job], Awaitable[dict[str, Any]]]
"""A job as the dialect shows it in a list."""


async def find_job(call: Call, name: str) -> Job:
    """A job by its id, its number or its `ref_id`."""
    owner = visible_owner(call.principal)
    found = call.context.direct_jobs.find(name, owner=owner)
    if found is None:
        with dialect_errors(call.dialect, JOB):
            found = await call.context.job_store.get(name, owner=owner, own=call.principal.owner)
    return in_dialect(found, call.dialect)


async def listed_jobs(
    call: Call, query: JobQuery, render: Render
) -> tuple[list[dict[str, Any]], int]:
    """A page of jobs, newest first, and how many there are. Running text operations, which are kept
    in memory, come before all others.
    """
    query = query.model_copy(update={"owner": visible_owner(call.principal)})
    running = await call.context.running_direct(query.owner)
    direct = [job for job in running if _matches(job, query)]
    shown = direct[query.offset : query.offset + query.limit]
    page = {"limit": query.limit - len(shown), "offset": max(0, query.offset - len(direct))}
    stored, total = await call.context.job_store.jobs(query.model_copy(update=page))
    objects = []
    for job in (*shown, *stored):
        objects.append(await render(in_dialect(job, call.dialect)))
        await asyncio.sleep(0)
    return objects, total + len(direct)


async def cancel(call: Call, name: str) -> Job:
    """Stop a job. Conflict when it has ended."""
    job, context = await find_job(call, name), call.context
    with dialect_errors(call.dialect, JOB):
        if context.direct_jobs.find(job.id, owner=None) is not None:
            cancelled = context.direct_jobs.cancel(job.id)
        else:
            cancelled = await context.jobs.cancel(job.id)
    return in_dialect(cancelled, call.dialect)


async def end_early(call: Call, name: str, what: EarlyEnd) -> Job:
    """Have a job end with what is there, or go on without the piece that is being made; see
    JobRunner. Conflict when it has ended.
    """
    job, jobs = await find_job(call, name), call.context.jobs
    with dialect_errors(call.dialect, JOB):
        asked = await (jobs.finish(job.id) if what == "finish" else jobs.skip(job.id))
    return in_dialect(asked, call.dialect)


def in_dialect(job: Job, dialect: Dialect) -> Job:
    """The job as a dialect shows it: without what another one has kept with it, and its failure
    and warnings about fields of the dialect's.
    """
    is_own = job.dialect == dialect.name
    changes: dict[str, Any] = {} if is_own else {"output": {}}
    if job.failure is not None:
        param = dialect.own_field(job.failure.param, job.operation_name)
        changes["failure"] = job.failure.model_copy(update={"param": param})
    if job.warnings:
        texts = dialect.told(job.warnings, job.operation_name, is_own=is_own)
        changes["warnings"] = tuple(
            JobWarning(text=text, revision=warning.revision)
            for text, warning in zip(texts, job.warnings, strict=True)
        )
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


def result_of(job: Job, operation: Operation[R, Any], dialect: Dialect) -> R:
    """The same of a job of this operation."""
    result = finished_result(job, dialect)
    if not isinstance(result, operation.result_type()):
        raise TypeError(f"{job.operation_name} cannot have a {type(result).__name__}")
    return result


def failure(job: Job, dialect: Dialect) -> AppError | None:
    """Why a job failed, in the words of a dialect."""
    reason = in_dialect(job, dialect).failure
    return reason.error() if reason else None


def _matches(job: Job, query: JobQuery) -> bool:
    return (
        query.status in (None, job.status)
        and query.operation in (None, job.operation_name)
        and query.tag in (None, job.tag)
        and query.ref_id in (None, job.ref_id)
        and query.dialect in (None, job.dialect)
    )
