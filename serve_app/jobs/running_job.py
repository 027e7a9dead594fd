"""A job that runs in this process, and how it is cancelled."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from serve_app.core.errors import Cancelled
from serve_app.jobs.tracker import Tracker

T = TypeVar("T")


@dataclass
class RunningJob:
    """A job that this process works on."""

    tracker: Tracker
    working: set["asyncio.Task[object]"] = field(default_factory=set)
    is_cancelled: bool = False

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
