"""The comments between a job's events, by a clock that the test moves."""

from typing import Any

from serve_app.api.v1.job_events import PING, PING_S, job_events
from serve_app.core.jobs import Job, JobProgress, JobStatus
from serve_app.core.speech import Speak


def job(status: JobStatus, revision: int) -> Job:
    return Job(
        id="job-1",
        number=1,
        operation_name="audio.speech",
        operation=Speak(model="hum", text="x"),
        output={},
        owner="api",
        ref_id=None,
        tag=None,
        model="hum",
        status=status,
        created_at=0.0,
        started_at=None,
        finished_at=None,
        revision=revision,
        position=None,
        progress=JobProgress(),
        stages=(),
        warnings=(),
        result=None,
        files={},
        failure=None,
        callback_url=None,
    )


async def told(states: list[tuple[float, Job]]) -> list[bytes]:
    """What a watcher hears of a job that has each state at its time."""
    remaining = states[1:]
    now = states[0][0]

    async def look() -> Job:
        nonlocal now
        now, state = remaining.pop(0)
        return state

    async def render(_: Job) -> dict[str, Any]:
        return {}

    events = job_events(
        states[0][1], since=0, look=look, render=render, look_every_s=0, ticks=lambda: now
    )
    return [
        frame if frame == PING else frame.split(b"\n")[0] for frame in [e async for e in events]
    ]


async def test_a_comment_comes_after_every_fifteen_silent_seconds() -> None:
    assert (PING, PING_S) == (b": ping\n\n", 15.0)
    waiting, running, ended = job("queued", 1), job("running", 2), job("succeeded", 3)
    quiet = [(float(second), waiting) for second in range(36)]
    heard = await told([*quiet, (36.0, running), (50.0, running), (51.0, running), (52.0, ended)])
    status, progress = b"event: status", b"event: progress"
    assert heard == [status, progress, PING, PING, status, PING, status, b"event: done"]


async def test_a_job_that_says_something_needs_no_comment() -> None:
    states = [(10.0 * n, job("running" if n % 2 else "queued", n + 1)) for n in range(8)]
    heard = await told([*states, (80.0, job("failed", 9))])
    assert PING not in heard
