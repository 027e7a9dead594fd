"""How a job is written for who is called back, for a replica that has no API."""

from collections.abc import AsyncIterator

from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import AppConfig
from serve_app.core.jobs import Job
from serve_app.jobs.callbacks import Render


def callback_rendering(config: AppConfig, blobs: FsspecBlobStore) -> Render:
    """What writes jobs as `GET /v1/jobs/{id}` does."""

    def pieces(job: Job) -> AsyncIterator[bytes]:
        # Only now: it is 8 MiB, and most servers call nobody back.
        from serve_app.api.v1.jobs.job_rendering import JobRendering

        return JobRendering(config, blobs).pieces(job)

    return pieces
