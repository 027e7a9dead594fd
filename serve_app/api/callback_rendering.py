"""How a finished job is written for who is called back, in the dialect that it was asked in; for a
replica that has no API.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING

from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import AppConfig
from serve_app.core.jobs import Job
from serve_app.jobs.callbacks import Render

if TYPE_CHECKING:
    from serve_app.api.dialect import Dialect


def callback_rendering(
    config: AppConfig, blobs: FsspecBlobStore, dialects: "Sequence[Dialect] | None" = None
) -> Render:
    """What writes jobs, each in its dialect: one of these, or of all that the server speaks."""

    async def pieces(job: Job) -> AsyncGenerator[bytes]:
        # Only now: it is 8 MiB, and most servers call nobody back.
        from serve_app.api.caller_jobs import in_dialect
        from serve_app.api.dialects import DIALECTS, dialect_of
        from serve_app.api.json_answer import json_pieces
        from serve_app.api.served_files import ServedFiles

        dialect = dialect_of(job, dialects or DIALECTS)
        files = ServedFiles(config.server.public_url or "", blobs)
        body = await dialect.render_job(in_dialect(job, dialect), dialect, files)
        async for piece in json_pieces(body):
            yield piece

    return pieces
