"""A job as the native dialect shows it."""

import time
from typing import Any

from serve_app.api.answers import PlainText
from serve_app.api.dialect import Dialect
from serve_app.api.errors import render_native
from serve_app.api.served_files import ServedFiles
from serve_app.core.jobs import Job


async def job_object(
    job: Job, dialect: Dialect, files: ServedFiles, *, is_listed: bool = False
) -> dict[str, Any]:
    """The Job object; in a list its result has files by URL."""
    url = dialect.job_url(job.id, files)
    body = await dialect.body(job, files, is_listed=is_listed)
    error = job.failure.error() if job.failure else None
    return {
        "id": job.id,
        "object": "job",
        "number": job.number,
        "operation": job.operation_name,
        "status": job.status,
        "created_at": int(job.created_at),
        "started_at": _second(job.started_at),
        "finished_at": _second(job.finished_at),
        "model": job.model,
        "owner": job.owner,
        "tag": job.tag,
        "ref_id": job.ref_id,
        "queue_position": job.position,
        "progress": progress_object(job),
        "stages": [stage.model_dump(exclude_none=True) for stage in job.stages],
        "warnings": [warning.text for warning in job.warnings],
        "result": body.text if isinstance(body, PlainText) else body,
        "error": render_native(error)["error"] if error else None,
        "url": url,
        "events_url": f"{url}/events",
        "cancel_url": f"{url}/cancel",
    }


def elapsed_s(job: Job) -> float:
    """Seconds since the job was started; 0 while it waits."""
    return 0.0 if job.started_at is None else time.time() - job.started_at


def progress_object(job: Job) -> dict[str, Any]:
    """How far a job is."""
    progress = job.progress
    return {
        "current": progress.current,
        "total": progress.total,
        "percent": progress.percent,
        "phase": progress.phase,
        "it_per_s": None if progress.per_second is None else round(progress.per_second, 3),
        "eta_seconds": None if progress.eta_s is None else round(progress.eta_s, 1),
    }


def _second(value: float | None) -> int | None:
    return None if value is None else int(value)
