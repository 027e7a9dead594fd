"""How a job is written for who is called back, for a replica that has no API."""

from collections.abc import AsyncIterator

from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import AppConfig
from serve_app.core.jobs import Job
from serve_app.jobs.callbacks import Render


def callback_rendering(config: AppConfig, blobs: FsspecBlobStore) -> Render:
    """What writes jobs as `GET /v1/jobs/{id}` does."""

    def pieces(job: Job) -> AsyncIterator[bytes]:
        # Only now: it imports every route, and most servers call nobody back.
        from serve_app.api.v1.jobs.job_object import job_pieces
        from serve_app.api.v1.router import answers_over

        return job_pieces(job, answers_over(config, blobs))

    return pieces
