"""What is known of a running job, written to its row as it changes, some times a second at most."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from serve_app.core.jobs import JobProgress, StageState
from serve_app.core.message import Progress
from serve_app.jobs.store import Account

PAUSE_S = 0.3


class Tracker:
    """Stages, progress and warnings of one run. `write` stores an account."""

    def __init__(self, stages: Sequence[str], write: Callable[[Account], Awaitable[None]]) -> None:
        self._stages = {name: StageState(name=name) for name in stages}
        self._begun: dict[str, float] = {}
        self._progress = JobProgress()
        self._phase_begun = time.monotonic()
        self._warnings: list[str] = []
        self._write = write
        self._changed = asyncio.Event()

    def begin(self, stage: str) -> None:
        """A stage starts."""
        self._begun[stage] = time.monotonic()
        self._stages[stage] = StageState(name=stage, status="running")
        self.advance(Progress(phase=stage))

    def end(self, stage: str, *, failed: bool = False) -> None:
        """A stage is over."""
        seconds = round(time.monotonic() - self._begun[stage], 3)
        self._stages[stage] = StageState(
            name=stage, status="failed" if failed else "succeeded", seconds=seconds
        )
        self._changed.set()

    def advance(self, progress: Progress) -> None:
        """The running phase got further; `percent` never falls."""
        if progress.phase != self._progress.phase:
            self._phase_begun = time.monotonic()
        elapsed = time.monotonic() - self._phase_begun
        rate = progress.current / elapsed if progress.current and elapsed > 0 else None
        left = None if progress.total is None else progress.total - progress.current
        self._progress = JobProgress(
            current=progress.current,
            total=progress.total,
            percent=max(self._percent(progress), self._progress.percent or 0.0),
            phase=progress.phase,
            per_second=rate,
            eta_s=left / rate if rate and left is not None and not self._stages else None,
        )
        self._changed.set()

    def warn(self, texts: Sequence[str]) -> None:
        """Soft failures, in the order in which they happened."""
        self._warnings += [text for text in texts if text not in self._warnings]
        self._changed.set()

    def account(self, *, is_done: bool = False) -> Account:
        """Everything known now."""
        progress = self._progress
        if is_done:
            progress = progress.model_copy(update={"percent": 100.0, "eta_s": None})
        return Account(progress, tuple(self._stages.values()), tuple(self._warnings))

    async def keep_writing(self) -> None:
        """Write what changes until cancelled; a short job only has its end to write."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(PAUSE_S)
            self._changed.clear()
            await self._write(self.account())

    def _percent(self, progress: Progress) -> float:
        """Stages weigh the same; what a stage says of itself moves within its share."""
        share = progress.current / progress.total if progress.total else 0.0
        if not self._stages:
            return round(100 * min(1.0, share), 1)
        done = sum(stage.status in ("succeeded", "failed") for stage in self._stages.values())
        return round(100 * min(1.0, (done + min(1.0, share)) / len(self._stages)), 1)
