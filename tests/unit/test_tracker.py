"""What is told of a running job."""

import asyncio
import time

from serve_app.core.errors import Unavailable
from serve_app.core.jobs import StageState
from serve_app.core.message import Progress
from serve_app.jobs.store import JobReport
from serve_app.jobs.tracker import Tracker


async def nowhere(_: JobReport) -> None:
    """Nobody reads it."""


def test_stages_weigh_what_they_weigh_and_percent_never_falls() -> None:
    tracker = Tracker({"draw": 1.0, "animate": 3.0}, nowhere)
    tracker.begin("draw")
    tracker.advance("draw", Progress(phase="denoise", current=1, total=2))
    assert (tracker.report().progress.percent, tracker.report().progress.phase) == (12.5, "draw")
    tracker.end("draw", device_s=0.25)
    tracker.begin("animate")
    tracker.advance("animate", Progress(phase="frames", current=8, total=16))
    assert tracker.report().progress.percent == 62.5
    # The stage is tried again.
    tracker.advance("animate", Progress(phase="frames", current=0, total=16))
    report = tracker.report()
    assert report.progress.percent == 62.5
    assert [stage.status for stage in report.stages] == ["succeeded", "running"]
    assert report.stages[0].device_seconds == 0.25


def test_stages_at_the_same_time_add_up() -> None:
    tracker = Tracker({"a": 1.0, "b": 1.0}, nowhere)
    for name in ("a", "b"):
        tracker.begin(name)
        tracker.advance(name, Progress(phase="steps", current=1, total=2))
    assert tracker.report().progress.percent == 50


def test_what_an_earlier_run_has_finished_stays_as_it_was() -> None:
    done = StageState(name="a", status="succeeded", seconds=7.5, device_seconds=7.0)
    lost = StageState(name="b", status="running")
    tracker = Tracker({"a": 1.0, "b": 1.0}, nowhere, earlier=(done, lost))
    tracker.begin("a")
    tracker.end("a", device_s=0.0)
    tracker.begin("b")
    report = tracker.report()
    assert report.stages == (done, StageState(name="b", status="running"))
    assert report.progress.percent == 50


def test_the_phase_of_a_single_stage_is_its_engines() -> None:
    tracker = Tracker({"image.generation": 1.0}, nowhere)
    tracker.begin("image.generation")
    tracker.advance("image.generation", Progress(phase="denoise", current=1, total=4))
    progress = tracker.report().progress
    assert (progress.phase, progress.current, progress.total) == ("denoise", 1, 4)


def test_a_rate_is_told_from_the_second_report_of_a_phase_on() -> None:
    """What is done when a phase is first told of was done before, in nobody knows what time."""
    tracker = Tracker({"audio.transcription": 1.0}, nowhere)
    tracker.begin("audio.transcription")
    tracker.advance("audio.transcription", Progress(phase="transcribe", current=30))
    assert tracker.report().progress.per_second is None
    time.sleep(0.01)
    tracker.advance("audio.transcription", Progress(phase="transcribe", current=31))
    rate = tracker.report().progress.per_second
    assert rate is not None
    assert 0 < rate <= 100


async def test_progress_is_written_again_once_the_database_is_back() -> None:
    tries: list[JobReport] = []
    is_written = asyncio.Event()

    async def write(report: JobReport) -> None:
        tries.append(report)
        if len(tries) == 1:
            raise Unavailable("the database does not respond; nothing was changed")
        is_written.set()

    tracker = Tracker({"a": 1.0}, write)
    writing = asyncio.create_task(tracker.keep_writing())
    tracker.begin("a")
    tracker.advance("a", Progress(phase="steps", current=1, total=2))
    async with asyncio.timeout(60):
        await is_written.wait()
    assert tries[-1] == tracker.report()
    writing.cancel()


def test_what_a_stage_waits_for_is_its_phase_and_moves_no_percent() -> None:
    single = Tracker({"transcription": 1.0}, nowhere)
    single.begin("transcription")
    single.wait("transcription", "model 'a' is being downloaded (25 %)")
    progress = single.report().progress
    assert (progress.phase, progress.percent) == ("model 'a' is being downloaded (25 %)", 0.0)
    single.advance("transcription", Progress(phase="transcribe", current=1, total=4))
    assert single.report().progress.phase == "transcribe"

    several = Tracker({"draw": 1.0, "speak": 1.0}, nowhere)
    several.begin("draw")
    several.end("draw")
    several.begin("speak")
    several.wait("speak", "model 'a' is loading")
    progress = several.report().progress
    assert (progress.phase, progress.percent) == ("speak: model 'a' is loading", 50.0)
