"""/admin/api/tasks: the jobs of all owners."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from serve_app.api.admin.fields import SUCCESS
from serve_app.api.admin.times import optional_rfc3339
from serve_app.api.context import Context, ContextDep
from serve_app.api.json_answer import json_response
from serve_app.core.jobs import Job
from serve_app.jobs.reader import JobQuery

router = APIRouter(tags=["admin"])
NEWEST = 200
TITLE_CHARACTERS = 120


@router.get("/admin/api/tasks")
async def list_tasks(context: ContextDep) -> Response:
    """List the newest jobs, those kept in memory first."""
    jobs, _ = await context.job_store.jobs(JobQuery(limit=NEWEST))
    listed = [*await context.running_direct(None), *jobs]
    return json_response(
        {"tasks": [task_object(job) for job in listed], "queue": await queue_object(context)}
    )


@router.post("/admin/api/tasks/{id}/cancel")
async def cancel_task(id: str, context: ContextDep) -> Response:
    """Cancel a job of any user at its next step."""
    if context.direct_jobs.find(id, owner=None) is not None:
        return json_response(task_object(context.direct_jobs.cancel(id)))
    job = await context.job_store.get(id)
    return json_response(task_object(await context.jobs.cancel(job.id)))


@router.delete("/admin/api/tasks/{id}")
async def delete_task(id: str, context: ContextDep) -> Response:
    """Delete a finished job; its files stay in the archive."""
    await context.direct_jobs.flush()
    job = await context.job_store.get(id)
    await context.job_store.delete(job.id)
    return json_response(SUCCESS)


async def queue_object(context: Context) -> dict[str, int]:
    """How many jobs wait and run, and how many may wait in one queue."""
    pending, running = await context.job_store.counts()
    running += len(await context.running_direct(None))
    return {
        "pending": pending,
        "running": running,
        "capacity": context.config.limits.max_pending,
    }


def task_object(job: Job) -> dict[str, Any]:
    """One line of the list."""
    is_active = not job.is_final
    return {
        "id": job.id,
        "kind": job.operation_name,
        "title": _title(job),
        "model": job.model,
        "status": job.status,
        "step": job.progress.current,
        "total": job.progress.total,
        "message": job.failure.error().explanation if job.failure else job.progress.phase,
        "started_at": optional_rfc3339(job.started_at),
        "active": is_active,
        "cancellable": is_active,
    }


def _title(job: Job) -> str:
    """What the caller named it, else the beginning of what it is about."""
    text = getattr(job.operation, "text", None) or getattr(job.operation, "prompt", None)
    title = job.ref_id or job.tag or (text if isinstance(text, str) else None)
    return (title or job.operation_name)[:TITLE_CHARACTERS]
