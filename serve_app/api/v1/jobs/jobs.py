"""/v1/jobs, and the progress of a medium's newest job."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from serve_app.access.tokens import Principal
from serve_app.api.archive_entries import visible_owner
from serve_app.api.context import Context, ContextDep, PrincipalDep
from serve_app.api.dialect import dialect_in
from serve_app.api.json_answer import json_response
from serve_app.api.runs import call_in, cancel, find_job, in_dialect
from serve_app.api.sse import sse_response
from serve_app.api.v1.jobs.job_events import job_events
from serve_app.api.v1.jobs.job_object import elapsed_s, job_object, progress_object
from serve_app.api.v1.wire import ERRORS
from serve_app.core.jobs import Job, JobStatus
from serve_app.core.media import MediaKind
from serve_app.jobs.reader import JobQuery

router = APIRouter(tags=["jobs"], responses=ERRORS)
FILTER = 200


@router.get("/v1/jobs")
async def list_jobs(
    request: Request,
    context: ContextDep,
    principal: PrincipalDep,
    status: Annotated[JobStatus | None, Query()] = None,
    operation: Annotated[str | None, Query(max_length=FILTER)] = None,
    tag: Annotated[str | None, Query(max_length=FILTER)] = None,
    ref_id: Annotated[str | None, Query(max_length=FILTER)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    offset: Annotated[int, Query(ge=0, lt=2**31)] = 0,
) -> Response:
    """List the client's jobs, newest first. Results contain the URLs of files.

    Running text operations, which are kept in memory, come first.
    """
    owner = visible_owner(principal)
    query = JobQuery(owner=owner, status=status, operation=operation, tag=tag, ref_id=ref_id)
    direct = [job for job in await context.running_direct(owner) if _matches(job, query)]
    shown = direct[offset : offset + limit]
    page = {"limit": limit - len(shown), "offset": max(0, offset - len(direct))}
    found, total = await context.job_store.jobs(query.model_copy(update=page))
    dialect = dialect_in(request.scope)
    data = []
    for job in (*shown, *found):
        shown_job = in_dialect(job, dialect)
        data.append(await job_object(shown_job, dialect, context.files, is_listed=True))
        await asyncio.sleep(0)
    answer = {
        "object": "list",
        "data": data,
        "total": total + len(direct),
        "limit": limit,
        "offset": offset,
    }
    return json_response(answer)


@router.get("/v1/jobs/{id}")
async def get_job(
    id: str, request: Request, context: ContextDep, principal: PrincipalDep
) -> Response:
    """Read a job by its id, its number or its `ref_id`."""
    call = call_in(request, context, principal)
    job = await find_job(call, id)
    return json_response(await job_object(job, call.dialect, context.files))


@router.post("/v1/jobs/{id}/cancel")
async def cancel_job(
    id: str, request: Request, context: ContextDep, principal: PrincipalDep
) -> Response:
    """Cancel a job at its next step."""
    call = call_in(request, context, principal)
    job = await cancel(call, id)
    return json_response(await job_object(job, call.dialect, context.files))


@router.get("/v1/jobs/{id}/events", response_class=Response)
async def watch_job(
    id: str, request: Request, context: ContextDep, principal: PrincipalDep
) -> Response:
    """Stream `status`, `progress` and `warning` events, and last `done` with the whole job."""
    call = call_in(request, context, principal)
    job = await find_job(call, id)
    seen = request.headers.get("last-event-id", "").strip()
    frames = job_events(
        job,
        since=int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 19 else 0,
        look=lambda: find_job(call, job.id),
        render=lambda job: job_object(job, call.dialect, context.files),
    )
    return sse_response(frames, request)


@router.get("/v1/images/progress")
async def image_progress(context: ContextDep, principal: PrincipalDep) -> Response:
    """Read the progress of the client's newest active image job; zeros without one."""
    return await _newest(context, principal, "image")


@router.get("/v1/video/progress")
async def video_progress(context: ContextDep, principal: PrincipalDep) -> Response:
    """Read the progress of the client's newest active video job; zeros without one."""
    return await _newest(context, principal, "video")


@router.get("/v1/audio/progress")
async def audio_progress(context: ContextDep, principal: PrincipalDep) -> Response:
    """Read the progress of the client's newest active audio job; zeros without one."""
    return await _newest(context, principal, "audio")


async def _newest(context: Context, principal: Principal, medium: MediaKind) -> Response:
    job = await context.job_store.newest_active(medium, owner=principal.owner)
    return json_response(_progress(job))


def _progress(job: Job | None) -> dict[str, Any]:
    if job is None:
        return {
            "current": 0,
            "total": 0,
            "active": False,
            "phase": None,
            "model": None,
            "pct": 0.0,
            "it_per_s": 0.0,
            "elapsed": 0.0,
            "job_id": None,
        }
    progress = progress_object(job)
    return {
        "current": progress["current"],
        "total": progress["total"] or 0,
        "active": True,
        "phase": progress["phase"] or job.status,
        "model": job.model,
        "pct": progress["percent"] or 0.0,
        "it_per_s": progress["it_per_s"] or 0.0,
        "elapsed": round(elapsed_s(job), 3),
        "job_id": job.id,
    }


def _matches(job: Job, query: JobQuery) -> bool:
    return (
        query.status in (None, job.status)
        and query.operation in (None, job.operation_name)
        and query.tag in (None, job.tag)
        and query.ref_id in (None, job.ref_id)
    )
