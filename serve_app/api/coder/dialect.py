"""The dialect as a value."""

from typing import Any

from serve_app.api.coder import providers
from serve_app.api.coder.error_object import JSON_TYPE, error_object
from serve_app.api.dialect import Dialect, PathRule
from serve_app.api.served_files import ServedFiles
from serve_app.core.jobs import Job

MOST_BYTES = 2 * 1024 * 1024
"""A hundred of the longest keys take half of it."""


async def render_job(job: Job, dialect: Dialect, files: ServedFiles) -> dict[str, Any]:  # noqa: ARG001
    """A job in as few words as this API has for it; nothing here makes one."""
    return {"id": job.id, "status": job.status}


CODER = Dialect(
    name="coder",
    prefixes=("/api/v2/ai",),
    routes=providers.router.routes,
    # Never counted nor captured: bodies hold keys.
    rules=(
        PathRule("*", "/api/v2/ai/**", access="admin", is_counted=False, most_bytes=MOST_BYTES),
    ),
    render_error=error_object,
    render_job=render_job,
    json_type=JSON_TYPE,
)
