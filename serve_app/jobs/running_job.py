"""A job that runs in this process, and how it is cancelled or asked to end early."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from serve_app.core.amounts import UsedModels
from serve_app.core.early_end import EarlyEnd
from serve_app.core.errors import Cancelled
from serve_app.jobs.tracker import Tracker

T = TypeVar("T")


@dataclass
class RunningJob:
    """A job that this process works on; one that `is_fresh` was never worked on before. `used` is
    what the models have used for it, in earlier runs, too.
    """

    tracker: Tracker
    is_fresh: bool = False
    used: UsedModels = field(default_factory=UsedModels)
    working: set["asyncio.Task[object]"] = field(default_factory=set)
    is_cancelled: bool = False
    asked_for: EarlyEnd | None = None
    answered_at: float = 0.0
    _is_asked: asyncio.Event = field(default_factory=asyncio.Event)

    def ask(self, what: EarlyEnd, *, known_at: float) -> None:
        """Somebody wants an early end. What was read from the table before the last one was done,
        by the monotonic clock, may be that one.
        """
        if known_at < self.answered_at or self.asked_for == "finish":
            return
        self.asked_for = what
        self._is_asked.set()

    async def asked(self) -> EarlyEnd:
        """Wait for that."""
        await self._is_asked.wait()
        assert self.asked_for is not None
        return self.asked_for

    def answer(self, what: EarlyEnd) -> None:
        """It is done."""
        self.answered_at = time.monotonic()
        if self.asked_for == what:
            self.asked_for = None
            self._is_asked.clear()

    def cancel(self) -> None:
        """Stop the steps under way; none begins any more. Once is enough: a step that is stopping
        must not be disturbed at it.
        """
        if self.is_cancelled:
            return
        self.is_cancelled = True
        for task in self.working:
            task.cancel()

    async def do(self, work: Callable[[], Awaitable[T]]) -> T:
        """The work's result, or Cancelled."""
        if self.is_cancelled:
            raise Cancelled("the job was cancelled")
        task: asyncio.Task[T] = asyncio.ensure_future(_awaited(work))
        self.working.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            if not self.is_cancelled:
                task.cancel()
                raise
            raise Cancelled("the job was cancelled") from None
        finally:
            self.working.discard(task)


async def _awaited(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
