"""The progress of a running job, written to its row a few times a second at most."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from serve_app.core.errors import Unavailable
from serve_app.core.jobs import JobProgress, StageState
from serve_app.core.media import Blob, PreviewedProgress
from serve_app.core.message import Progress
from serve_app.core.notices import Notice
from serve_app.jobs.store import JobReport

logger = logging.getLogger(__name__)

PAUSE_S = 0.3


class Tracker:
    """Stages, progress and warnings of one run. `stages` are their names and how much of the work
    each is; `write` stores a report. `earlier` is what an earlier run of the job has told of its
    stages: finished ones are not done again.
    """

    def __init__(
        self,
        stages: Mapping[str, float],
        write: Callable[[JobReport], Awaitable[None]],
        *,
        earlier: Sequence[StageState] = (),
    ) -> None:
        done = {state.name: state for state in earlier if state.status == "succeeded"}
        self._stages = {name: done.get(name, StageState(name=name)) for name in stages}
        self._weights = stages
        self._shares: dict[str, float] = {}
        self._started_at: dict[str, float] = {}
        self._progress = JobProgress()
        # When the phase began, and how far it was when it was first told of.
        self._phase_started_at = (time.monotonic(), 0)
        self._warnings: list[Notice] = []
        self._write = write
        self._changed = asyncio.Event()

    @property
    def has_stages(self) -> bool:
        """Whether the job is more than one piece of work."""
        return len(self._stages) > 1

    def begin(self, stage: str) -> None:
        """A stage starts, or is read from the record."""
        if self._is_done(stage):
            return
        self._started_at[stage] = time.monotonic()
        self._stages[stage] = StageState(name=stage, status="running")
        self.advance(stage, Progress(phase=stage))

    def end(self, stage: str, *, failed: bool = False, device_s: float | None = None) -> None:
        """A stage is over; `device_s` is what it cost of the families' replicas."""
        if self._is_done(stage):
            return
        self._stages[stage] = StageState(
            name=stage,
            status="failed" if failed else "succeeded",
            seconds=round(time.monotonic() - self._started_at[stage], 3),
            device_seconds=None if device_s is None else round(device_s, 3),
        )
        percent = max(self._percent(), self._progress.percent or 0.0)
        self._progress = self._progress.model_copy(update={"percent": percent})
        self._changed.set()

    def advance(self, stage: str, progress: Progress) -> None:
        """A stage got further; `percent` never falls. Where there are several, the phase is the
        stage.
        """
        phase = stage if self.has_stages else progress.phase
        if phase != self._progress.phase:
            self._phase_started_at = (time.monotonic(), progress.current)
        since, start = self._phase_started_at
        elapsed, made = time.monotonic() - since, progress.current - start
        rate = made / elapsed if made > 0 and elapsed > 0 else None
        left = None if progress.total is None else progress.total - progress.current
        self._shares[stage] = progress.current / progress.total if progress.total else 0.0
        self._progress = JobProgress(
            current=progress.current,
            total=progress.total,
            percent=max(self._percent(), self._progress.percent or 0.0),
            phase=phase,
            per_second=rate,
            eta_s=left / rate if rate and left is not None and not self.has_stages else None,
            preview=_preview(progress) or self._progress.preview,
        )
        self._changed.set()

    def warn(self, notices: Sequence[Notice]) -> None:
        """Soft failures, in the order in which they happened."""
        self._warnings += [notice for notice in notices if notice not in self._warnings]
        self._changed.set()

    def wait(self, stage: str, reason: str) -> None:
        """A stage cannot begin yet. The reason, such as how far a model's download is, is the phase
        until the stage gets further; the percent does not move.
        """
        phase = f"{stage}: {reason}" if self.has_stages else reason
        update = {"phase": phase, "per_second": None, "eta_s": None}
        self._progress = self._progress.model_copy(update=update)
        self._changed.set()

    def report(self, *, is_done: bool = False) -> JobReport:
        """Everything known now."""
        progress = self._progress
        if is_done:
            done = {"percent": 100.0, "eta_s": None, "preview": None}
            progress = progress.model_copy(update=done)
        return JobReport(progress, tuple(self._stages.values()), tuple(self._warnings))

    async def keep_writing(self) -> None:
        """Write what changes until cancelled; a short job only has its end to write. What cannot
        be written because the database is away is written later.
        """
        while True:
            await self._changed.wait()
            await asyncio.sleep(PAUSE_S)
            self._changed.clear()
            try:
                await self._write(self.report())
            except Unavailable as error:
                logger.warning("progress could not be written yet: %s", error.message)
                self._changed.set()

    def _is_done(self, stage: str) -> bool:
        return stage in self._stages and self._stages[stage].status == "succeeded"

    def _percent(self) -> float:
        """What a stage says of itself moves within its share."""
        done = 0.0
        for name, weight in self._weights.items():
            is_over = self._stages[name].status in ("succeeded", "failed")
            done += weight * (1.0 if is_over else min(1.0, self._shares.get(name, 0.0)))
        return round(100 * done / sum(self._weights.values()), 1)


def _preview(progress: Progress) -> Blob | None:
    return progress.preview if isinstance(progress, PreviewedProgress) else None
