"""An event loop in a thread of its own, for engines that block theirs."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar

from serve_app.core.errors import BackendUnavailable

T = TypeVar("T")


class LoopThread:
    """Runs coroutines and streams for callers on other threads and loops."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._stopping = False
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def run(self, work: Awaitable[T]) -> T:
        """Wait, blocking, for a result."""
        return asyncio.run_coroutine_threadsafe(_awaited(work), self._loop).result()

    async def result(self, work: Awaitable[T]) -> T:
        """Wait for a result on the caller's loop; cancelling goes through."""
        future = asyncio.run_coroutine_threadsafe(_awaited(work), self._loop)
        return await asyncio.wrap_future(future)

    async def stream(self, items: Callable[[], AsyncGenerator[T]]) -> AsyncGenerator[T]:
        """The items of a stream that runs in the thread; closing cancels it there.

        Raises BackendUnavailable when the thread is stopped meanwhile.
        """
        here = asyncio.get_running_loop()
        queue: asyncio.Queue[tuple[T] | None] = asyncio.Queue()

        async def pump() -> None:
            try:
                async with aclosing(items()) as generator:
                    async for item in generator:
                        here.call_soon_threadsafe(queue.put_nowait, (item,))
            finally:
                here.call_soon_threadsafe(queue.put_nowait, None)

        running = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(pump(), self._loop))
        try:
            while (item := await queue.get()) is not None:
                yield item[0]
            await asyncio.wait((running,))
            if running.cancelled() and self._stopping:
                raise BackendUnavailable(
                    "the model was unloaded", remedy="try again", retry_after_s=1
                )
            running.result()
        finally:
            running.cancel()

    def stop(self) -> None:
        """Cancel what runs and end the thread, without waiting for it. May be called twice."""
        if not self._stopping:
            self._stopping = True
            asyncio.run_coroutine_threadsafe(self._finish(), self._loop)

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    async def _finish(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._loop.call_soon(self._loop.stop)


async def _awaited(work: Awaitable[T]) -> T:
    return await work
