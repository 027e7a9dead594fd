"""What the caller's own work on this surface is at, and how it is ended early."""

import base64
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import Field

from serve_app.api.automatic1111.image_answer import timestamp
from serve_app.api.automatic1111.numbers import Switch, Whole
from serve_app.api.automatic1111.task_names import ref_id_of, task_name_of
from serve_app.api.call import Call, CallDep
from serve_app.api.caller_jobs import end_early, find_job
from serve_app.api.context import Context
from serve_app.api.json_answer import json_response
from serve_app.api.wire_object import WireObject
from serve_app.api.wire_types import Text
from serve_app.core.early_end import EarlyEnd
from serve_app.core.errors import Conflict, NotFound, UnsupportedCapability
from serve_app.core.image.images import ImageGeneration
from serve_app.core.jobs import Job, JobStatus
from serve_app.core.media import Blob
from serve_app.jobs.reader import JobQuery

router = APIRouter(tags=["jobs"], strict_content_type=False)
MOST_PENDING = 500
IDLE_STATE = {
    "skipped": False,
    "interrupted": False,
    "stopping_generation": False,
    "job": "",
    "job_count": 0,
    "job_timestamp": "0",
    "job_no": 0,
    "sampling_step": 0,
    "sampling_steps": 0,
}
IDLE = {
    "progress": 0.0,
    "eta_relative": 0.0,
    "state": IDLE_STATE,
    "current_image": None,
    "textinfo": None,
    "current_task": None,
}


class TaskBody(WireObject):
    """Which job is asked about."""

    id_task: Annotated[Text, Field(max_length=200)]
    id_live_preview: Whole = -1
    live_preview: Switch = True


@router.get("/sdapi/v1/progress")
async def progress(
    call: CallDep,
    skip_current_image: Annotated[str, Query(max_length=10)] = "",
) -> Response:
    """Read how far the caller's own generation is, with a preview of the current image."""
    job = await present_job(call)
    if job is None:
        return json_response(IDLE)
    wants_image = skip_current_image.lower() not in ("true", "1", "yes", "on")
    image = await preview(call.context, job.progress.preview) if wants_image else None
    return json_response(progress_object(job) | {"current_image": image})


@router.post("/sdapi/v1/interrupt")
async def interrupt(call: CallDep) -> Response:
    """End the caller's own generation; its request is answered with the images that are ready."""
    await _end(call, "finish")
    return json_response({})


@router.post("/sdapi/v1/skip")
async def skip(call: CallDep) -> Response:
    """Leave out the image that is being generated, and go on with the next one."""
    await _end(call, "skip")
    return json_response(None)


@router.get("/internal/pending-tasks")
async def pending_tasks(call: CallDep) -> Response:
    """List the caller's own requests that wait for their turn."""
    tasks = [job.id for job in reversed(await _jobs(call, "queued", MOST_PENDING))]
    return json_response({"size": len(tasks), "tasks": tasks})


@router.post("/internal/progress")
async def task_progress(body: TaskBody, call: CallDep) -> Response:
    """Read how far one of the caller's own requests is, by its id or its `force_task_id`."""
    job: Job | None = None
    with suppress(NotFound, Conflict):
        job = await find_job(call, ref_id_of(body.id_task))
    is_active = job is not None and job.status == "running"
    is_queued = job is not None and job.status == "queued"
    return json_response(
        {
            "active": is_active,
            "queued": is_queued,
            "completed": job is not None and job.is_final,
            "progress": _share(job) if job else 0.0,
            "eta": job.progress.eta_s if job and is_active else None,
            "live_preview": None,
            "id_live_preview": body.id_live_preview,
            "textinfo": _said(job),
        }
    )


async def present_job(call: Call) -> Job | None:
    """The caller's newest running job of this dialect, else the first that waits."""
    running = await _jobs(call, "running", 1)
    waiting = [] if running else await _jobs(call, "queued", MOST_PENDING)
    return next(iter(running), None) or next(reversed(waiting), None)


async def preview(context: Context, blob: Blob | None) -> str | None:
    """A small image in base64; None without one and for one that is gone."""
    if blob is None:
        return None
    with suppress(NotFound):
        data = b"".join([chunk async for chunk in context.blobs.read(blob)])
        return base64.b64encode(data).decode()
    return None


def progress_object(job: Job) -> dict[str, Any]:
    """How far a job is, without its preview."""
    left_s = job.progress.eta_s
    return {
        "progress": _share(job),
        "eta_relative": round(left_s, 3) if left_s is not None else 0.0,
        "state": _state(job),
        "current_image": None,
        "textinfo": _said(job),
        "current_task": task_name_of(job.ref_id) if job.ref_id else job.id,
    }


def _state(job: Job) -> dict[str, Any]:
    asked, operation = job.asked_for, job.operation
    steps, images, at_once = 1, 1, 1
    if isinstance(operation, ImageGeneration):
        steps, images = operation.steps or 1, operation.count
        at_once = operation.batch_size or 1
    done = min(job.progress.current, (job.progress.total or 1) - 1)
    return IDLE_STATE | {
        "skipped": asked == "skip",
        "interrupted": asked == "finish",
        "stopping_generation": asked == "finish",
        "job": job.id,
        "job_count": -(-images // at_once),
        "job_timestamp": timestamp(job),
        "job_no": max(0, done) // (steps * at_once),
        "sampling_step": max(0, done) % steps,
        "sampling_steps": steps,
    }


def _share(job: Job) -> float:
    return round((job.progress.percent or 0.0) / 100, 4)


def _said(job: Job | None) -> str | None:
    if job is None or job.status == "queued":
        return "Waiting..." if job is None else "In queue..."
    return job.progress.phase


async def _end(call: Call, what: EarlyEnd) -> None:
    """Nothing where nothing is running that can be ended so, or where it has ended just now. What
    waits for its turn goes on waiting.
    """
    for job in await _jobs(call, "running", 1):
        with suppress(Conflict, NotFound, UnsupportedCapability):
            await end_early(call, job.id, what)


async def _jobs(call: Call, status: JobStatus, limit: int) -> list[Job]:
    """The newest first."""
    query = JobQuery(
        owner=call.principal.owner, dialect=call.dialect.name, status=status, limit=limit
    )
    found, _ = await call.context.job_store.jobs(query)
    return [*found]
