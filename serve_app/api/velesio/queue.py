"""/queue: what waits and runs, and the caller's jobs."""

import asyncio
import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from serve_app.api.archive_entries import visible_owner
from serve_app.api.context import Context, ContextDep, PrincipalDep
from serve_app.api.dialect import dialect_in
from serve_app.api.json_answer import json_response
from serve_app.api.runs import call_in, cancel, find_job, in_dialect
from serve_app.api.velesio.errors import ERRORS
from serve_app.api.velesio.job_object import job_object
from serve_app.api.velesio.workers import live_models, worker_kind
from serve_app.core.jobs import Job
from serve_app.jobs.reader import JobQuery

router = APIRouter(tags=["jobs"], responses=ERRORS)
DAY_S = 24 * 3600
MOST_RUNNING = 500
"""Running jobs that are looked at."""


@router.get("/queue/status")
async def queue_status(context: ContextDep) -> Response:
    """Read how many jobs wait and run, and what works on them."""
    pending, _ = await context.job_store.counts()
    running = await running_jobs(context)
    workers = await worker_list(context, running)
    return json_response(
        {
            "queue_depth": pending + len(running),
            "active_workers": len(workers),
            "pending_jobs": pending,
            "completed_jobs_24h": await context.job_store.succeeded_since(time.time() - DAY_S),
            "workers": workers,
        }
    )


@router.get("/queue/jobs")
async def list_queue(
    request: Request,
    context: ContextDep,
    principal: PrincipalDep,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Response:
    """List the client's jobs, newest first; running text operations come before all others."""
    owner = visible_owner(principal)
    dialect = dialect_in(request.scope)
    jobs = (await context.running_direct(owner))[:limit]
    if len(jobs) < limit:
        stored, _ = await context.job_store.jobs(JobQuery(owner=owner, limit=limit - len(jobs)))
        jobs += stored
    shown = []
    for job in jobs:
        shown.append(await job_object(in_dialect(job, dialect), dialect, context.files))
        await asyncio.sleep(0)
    return json_response({"jobs": shown})


@router.get("/queue/jobs/{id}")
async def read_queued(
    id: str, request: Request, context: ContextDep, principal: PrincipalDep
) -> Response:
    """Read a job by its id or its `ref_id`."""
    call = call_in(request, context, principal)
    job = await find_job(call, id)
    return json_response(await job_object(job, call.dialect, context.files))


@router.delete("/queue/jobs/{id}")
async def cancel_queued(
    id: str, request: Request, context: ContextDep, principal: PrincipalDep
) -> Response:
    """Cancel a job at its next step."""
    call = call_in(request, context, principal)
    job = await cancel(call, id)
    return json_response({"id": job.id, "status": "cancelled"})


async def running_jobs(context: Context) -> list[Job]:
    """Everybody's."""
    query = JobQuery(status="running", limit=MOST_RUNNING)
    stored, _ = await context.job_store.jobs(query)
    return [*await context.running_direct(None), *stored]


async def worker_list(context: Context, running: list[Job]) -> list[dict[str, Any]]:
    """Every model in memory, with the newest job that it works on."""
    current = {job.model: job.id for job in reversed(running) if job.model is not None}
    statuses = await context.catalog.statuses()
    workers = []
    for found in live_models(context.catalog, statuses, tuple(current)):
        status = statuses.get(found.id)
        is_busy = found.id in current or bool(status and status.requests)
        state = "busy" if is_busy else "idle"
        worker: dict[str, Any] = {"id": found.id, "type": worker_kind(found), "status": state}
        # Of what another process has begun a moment ago, nothing else is known.
        if found.id in current:
            worker["current_job"] = current[found.id]
        workers.append(worker)
    return workers
