"""The comments between a job's events, by a clock that the test moves."""

import json
from typing import Any

import pytest

from serve_app.api.v1.jobs.job_events import PING, PING_S, PLACES, job_events
from serve_app.core.audio.speech import Speak
from serve_app.core.jobs import Job, JobProgress, JobStatus, JobWarning


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


def state(status: JobStatus, revision: int, *warnings: int) -> Job:
    """A job that got as far as its revision; warnings by the revisions that brought them."""
    update = {
        "progress": JobProgress(current=revision),
        "warnings": tuple(JobWarning(text=f"w{n}", revision=r) for n, r in enumerate(warnings)),
    }
    return job(status, revision).model_copy(update=update)


LIFE = [
    state("queued", 1),
    state("running", 2),
    state("running", 4, 3, 4),
    state("succeeded", 6, 3, 4, 5, 6, 6),
]
TOLD = [
    *("status", "progress", "status", "progress", "w0", "progress", "w1"),
    *("w2", "status", "progress", "w3", "w4", "done"),
]


async def heard(states: list[Job], since: int = 0) -> list[tuple[int, str]]:
    """The id of every event, and its name or, of a warning, its text."""
    remaining = states[1:]

    async def look() -> Job:
        return remaining.pop(0)

    async def render(_: Job) -> dict[str, Any]:
        return {}

    found = []
    async for frame in job_events(
        states[0], since=since, look=look, render=render, look_every_s=0, ticks=lambda: 0.0
    ):
        fields = dict(line.split(": ", 1) for line in frame.decode().strip().splitlines())
        name = fields["event"]
        text = json.loads(fields["data"])["message"] if name == "warning" else name
        found.append((int(fields["id"]), text))
    return found


async def test_every_event_has_an_id_of_its_own_and_ids_grow() -> None:
    events = await heard(LIFE)
    assert [text for _, text in events] == TOLD
    ids = [number for number, _ in events]
    assert ids == sorted(set(ids))


@pytest.mark.parametrize("place", range(len(TOLD)))
async def test_who_comes_back_after_any_event_hears_the_rest(place: int) -> None:
    """Of whichever process: what it knows is the job as it is now, and the last id. Once more it
    tells the status, which may be new to who was away, and the end to who knows it already.
    """
    events = await heard(LIFE)
    since = events[place][0]
    now = next(n for n, seen in enumerate(LIFE) if since < (seen.revision + 1) * PLACES)
    again = await heard(LIFE[now:], since)
    rest = events[place + 1 :] or events[-1:]
    assert [event for event in again if event in rest] == rest
    assert {text for number, text in again if (number, text) not in rest} <= {"status"}
    ids = [number for number, _ in again]
    assert ids == sorted(set(ids))
    assert set(ids).isdisjoint({number for number, _ in events[: place + 1]} - {events[-1][0]})


@pytest.mark.parametrize("missed", [1, 2, 3])
async def test_who_was_away_for_long_misses_no_warning(missed: int) -> None:
    first = await heard([*LIFE[:1], *LIFE[missed:]])
    assert [text for _, text in first if text[0] == "w"] == ["w0", "w1", "w2", "w3", "w4"]
    ids = [number for number, _ in first]
    assert ids == sorted(set(ids))
