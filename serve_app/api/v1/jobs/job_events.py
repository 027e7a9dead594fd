"""The events of a job: what has changed since it was last read."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from serve_app.api.json_answer import dumps, is_light, json_pieces
from serve_app.api.v1.jobs.job_object import progress_object
from serve_app.core.jobs import Job

LOOK_S = 0.25
PING_S = 15.0
PING = b": ping\n\n"
END = b"\n\n"
PLACES = 1_000_000
"""Among the events of one revision: its status, its progress, its warnings, its end."""
STATUS, PROGRESS, WARNING, LAST = 1, 2, 3, PLACES - 1


@dataclass(frozen=True)
class JobEvent:
    """An event of a job. Ids grow, and each stands for one event for good, whichever process sends
    it: it is made of the revision that brought the event and its place among that revision's.
    """

    id: int
    name: str
    data: dict[str, Any]

    def frame(self) -> bytes:
        """As server-sent event."""
        return self._head() + dumps(self.data) + END

    async def pieces(self) -> AsyncGenerator[bytes]:
        """The same, in pieces where it is large."""
        if is_light(self.data):
            yield self.frame()
            return
        yield self._head()
        async for piece in json_pieces(self.data):
            yield piece
        yield END

    def _head(self) -> bytes:
        return b"event: %s\nid: %d\ndata: " % (self.name.encode(), self.id)


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
    """Frames until the job has ended: what comes after the event of the id `since`, so that who
    comes back with the last one misses nothing and sees nothing twice but the end. After a silence
    of `ping_every_s`, by `ticks` in seconds, comes a comment.
    """
    known: Job | None = None
    said_at = ticks()
    while True:
        events = changes(known, job, since)
        for event in events:
            yield event.frame()
            since = event.id
        if job.is_final:
            done = JobEvent(_id(job.revision, LAST), "done", await render(job))
            async for piece in done.pieces():
                yield piece
            return
        if not events and ticks() - said_at >= ping_every_s:
            said_at = ticks()
            yield PING
        if events:
            said_at = ticks()
        await asyncio.sleep(look_every_s)
        known, job = job, await look()


def changes(known: Job | None, job: Job, since: int) -> list[JobEvent]:
    """The events between two states that come after the id `since`, in the order of their ids."""
    events = [
        JobEvent(_id(warning.revision, WARNING + place), "warning", {"message": warning.text})
        for place, warning in enumerate(job.warnings)
    ]
    if known is None or (known.status, known.position) != (job.status, job.position):
        status = {"status": job.status, "queue_position": job.position}
        events.append(JobEvent(_id(job.revision, STATUS), "status", status))
    if (known.progress if known else None) != job.progress or _stages(known) != _stages(job):
        stages = [stage.model_dump(exclude_none=True) for stage in job.stages]
        progress = progress_object(job) | {"stages": stages}
        events.append(JobEvent(_id(job.revision, PROGRESS), "progress", progress))
    return sorted((each for each in events if each.id > since), key=lambda each: each.id)


def _id(revision: int, place: int) -> int:
    return revision * PLACES + place


def _stages(job: Job | None) -> object:
    return job.stages if job else None
