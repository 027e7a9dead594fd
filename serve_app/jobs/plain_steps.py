"""Steps that record nothing: for tests and for one process that keeps no jobs."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from typing_extensions import override

from serve_app.jobs.recorded import read_record, write_result
from serve_app.jobs.staging import Steps

T = TypeVar("T")


class PlainSteps(Steps):
    """Satisfies Steps within one event loop."""

    def __init__(self, perform: Callable[[str], Awaitable[None]]) -> None:
        self._perform = perform
        self._running: set[asyncio.Task[None]] = set()

    @override
    async def start(self, job_id: str) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(self._run(job_id))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    @override
    async def step(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """What could not be recorded is refused here too."""
        result: T = read_record(write_result(await work()), stage=name)
        return result

    async def _run(self, job_id: str) -> None:
        await self._perform(job_id)
