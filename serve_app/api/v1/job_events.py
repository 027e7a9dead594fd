"""The events of a job: what has changed between two looks at it."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from serve_app.api.v1.job_rendering import progress_object
from serve_app.api.v1.wire import dumps
from serve_app.core.jobs import Job

LOOK_S = 0.25
PING_S = 15.0
PING = b": ping\n\n"


async def job_events(
    job: Job,
    *,
    since: int,
    look: Callable[[], Awaitable[Job]],
    render: Callable[[Job], Awaitable[dict[str, Any]]],
    look_every_s: float = LOOK_S,
    ping_every_s: float = PING_S,
    ticks: Callable[[], float] = time.monotonic,
) -> AsyncGenerator[bytes]:
    """Frames until the job has ended. An event's id is the revision that brought it, so that who
    comes back with the last one misses no warning and sees no old one. After a silence of
    `ping_every_s`, by `ticks` in seconds, comes a comment.
    """
    known: Job | None = None
    said_at = ticks()
    while True:
        frames = changes(known, job, since)
        for frame in frames:
            yield frame
        if job.is_final:
            yield event("done", job.revision, await render(job))
            return
        if not frames and ticks() - said_at >= ping_every_s:
            frames = [PING]
            yield PING
        if frames:
            said_at = ticks()
        await asyncio.sleep(look_every_s)
        known, job = job, await look()


def changes(known: Job | None, job: Job, since: int) -> list[bytes]:
    """The events between two states; at first, everything after the revision `since`."""
    if job.revision <= (since if known is None else known.revision):
        return []
    frames = []
    if known is None or (known.status, known.position) != (job.status, job.position):
        status = {"status": job.status, "queue_position": job.position}
        frames.append(event("status", job.revision, status))
    if (known.progress if known else None) != job.progress or _stages(known) != _stages(job):
        stages = [stage.model_dump(exclude_none=True) for stage in job.stages]
        progress = progress_object(job) | {"stages": stages}
        frames.append(event("progress", job.revision, progress))
    seen = since if known is None else known.revision
    frames += [
        event("warning", warning.revision, {"message": warning.text})
        for warning in job.warnings
        if warning.revision > seen
    ]
    return frames


def event(name: str, revision: int, data: dict[str, Any]) -> bytes:
    """One frame with its name and id."""
    return b"event: %s\nid: %d\ndata: %s\n\n" % (name.encode(), revision, dumps(data))


def _stages(job: Job | None) -> object:
    return job.stages if job else None
