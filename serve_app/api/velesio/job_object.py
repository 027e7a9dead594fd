"""Jobs in Velesio's shape."""

from typing import Any

from serve_app.api.answers import PlainText
from serve_app.api.dialect import Dialect
from serve_app.api.served_files import ServedFiles
from serve_app.api.velesio.errors import error_detail
from serve_app.core.jobs import Job
from serve_app.core.operations import blobs_of

JOBS = "/queue/jobs"


async def job_object(job: Job, dialect: Dialect, files: ServedFiles) -> dict[str, Any]:
    """A job. `result_url` is that of its first file, or its own where its result is a text; times
    are unix seconds. `result` is an addition.
    """
    body = await dialect.body(job, files, is_listed=True)
    error = job.failure.error() if job.failure else None
    return {
        "id": job.id,
        "type": job.operation_name,
        "status": job.status,
        "position": job.position,
        "progress": _progress(job),
        "created_at": int(job.created_at),
        "started_at": _second(job.started_at),
        "finished_at": _second(job.finished_at),
        "error": error_detail(error) if error else None,
        "result_url": _result_url(job, dialect, files),
        "result": body.text if isinstance(body, PlainText) else body,
    }


def _progress(job: Job) -> float:
    """From 0 to 1."""
    if job.status == "succeeded":
        return 1.0
    return round((job.progress.percent or 0.0) / 100, 4)


def _result_url(job: Job, dialect: Dialect, files: ServedFiles) -> str | None:
    if job.result is None:
        return None
    made = blobs_of(job.result)
    return files.blob_url(made[0], job.files) if made else dialect.job_url(job.id, files)


def _second(value: float | None) -> int | None:
    return None if value is None else int(value)
