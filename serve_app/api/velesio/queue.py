"""/queue: what waits and runs, and the caller's jobs."""

import time
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from serve_app.api.call import Call, CallDep
from serve_app.api.caller_jobs import cancel, find_job, listed_jobs
from serve_app.api.context import Context, ContextDep
from serve_app.api.json_answer import json_response
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
async def list_queue(call: CallDep, limit: Annotated[int, Query(ge=1, le=500)] = 50) -> Response:
    """List the client's jobs, newest first; running text operations come before all others."""
    shown, _ = await listed_jobs(call, JobQuery(limit=limit), partial(_object, call))
    return json_response({"jobs": shown})


@router.get("/queue/jobs/{id}")
async def read_queued(id: str, call: CallDep) -> Response:
    """Read a job by its id or its `ref_id`."""
    return json_response(await _object(call, await find_job(call, id)))


@router.delete("/queue/jobs/{id}")
async def cancel_queued(id: str, call: CallDep) -> Response:
    """Cancel a job at its next step."""
    job = await cancel(call, id)
    return json_response({"id": job.id, "status": "cancelled"})


async def _object(call: Call, job: Job) -> dict[str, Any]:
    return await job_object(job, call.dialect, call.context.files)


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
