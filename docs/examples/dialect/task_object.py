"""Errors and tasks in this dialect's format."""

from typing import Any

from serve_app.api.answers import PlainText
from serve_app.api.dialect import Dialect
from serve_app.api.served_files import ServedFiles
from serve_app.core.errors import AppError
from serve_app.core.jobs import Job, JobStatus

STATES: dict[JobStatus, str] = {
    "queued": "waiting",
    "running": "working",
    "succeeded": "done",
    "failed": "failed",
    "cancelled": "stopped",
}


def error_object(error: AppError, path: str) -> dict[str, Any]:
    """The body of every failed request."""
    problem = {"reason": error.code, "text": error.explanation, "about": error.param, "on": path}
    return {"problem": problem | ({"task": error.job_id} if error.job_id else {})}


async def task_object(job: Job, dialect: Dialect, files: ServedFiles) -> dict[str, Any]:
    """A job, with its result when it is done."""
    answer = await dialect.body(job, files)
    return {
        "task": job.id,
        "label": job.ref_id,
        "state": STATES[job.status],
        "percent": job.progress.percent,
        "answer": answer.text if isinstance(answer, PlainText) else answer,
        "problem": job.failure and {"reason": job.failure.code, "about": job.failure.param},
    }


async def callback_object(job: Job, dialect: Dialect, files: ServedFiles) -> dict[str, Any]:
    """The body of the callback when the task has ended."""
    return {"event": "task_ended", "task": await task_object(job, dialect, files)}
