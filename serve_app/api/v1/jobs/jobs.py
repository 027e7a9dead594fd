"""/v1/jobs, and the progress of a medium's newest job."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from serve_app.access.tokens import Principal
from serve_app.api.call import Call, CallDep
from serve_app.api.caller_jobs import cancel, find_job, listed_jobs
from serve_app.api.context import Context, ContextDep, PrincipalDep
from serve_app.api.json_answer import json_response
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
    call: CallDep,
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
    query = JobQuery(
        status=status, operation=operation, tag=tag, ref_id=ref_id, limit=limit, offset=offset
    )
    render = partial(_object, call, is_listed=True)
    data, total = await listed_jobs(call, query, render)
    page = {"total": total, "limit": limit, "offset": offset}
    return json_response({"object": "list", "data": data} | page)


@router.get("/v1/jobs/{id}")
async def get_job(id: str, call: CallDep) -> Response:
    """Read a job by its id, its number or its `ref_id`."""
    return json_response(await _object(call, await find_job(call, id)))


@router.post("/v1/jobs/{id}/cancel")
async def cancel_job(id: str, call: CallDep) -> Response:
    """Cancel a job at its next step."""
    return json_response(await _object(call, await cancel(call, id)))


@router.get("/v1/jobs/{id}/events", response_class=Response)
async def watch_job(id: str, call: CallDep) -> Response:
    """Stream `status`, `progress` and `warning` events, and last `done` with the whole job."""
    job = await find_job(call, id)
    seen = call.request.headers.get("last-event-id", "").strip()
    frames = job_events(
        job,
        since=int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 19 else 0,
        look=lambda: find_job(call, job.id),
        render=partial(_object, call),
    )
    return sse_response(frames, call.request)


async def _object(call: Call, job: Job, *, is_listed: bool = False) -> dict[str, Any]:
    return await job_object(job, call.dialect, call.context.files, is_listed=is_listed)


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
