"""Runs decodings in threads and hands their deltas to the event loop."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")
_END = object()


async def in_thread(
    executor: ThreadPoolExecutor, produce: Callable[[Callable[[], bool]], Iterator[T]]
) -> AsyncGenerator[T]:
    """The items of an iterator that blocks, run in `executor`.

    `produce` is given a function that says whether to stop: closing the generator makes it true
    and waits until the iterator has seen it, so that what it holds is free afterwards.
    """
    loop = asyncio.get_running_loop()
    items: asyncio.Queue[object] = asyncio.Queue()
    stop = threading.Event()

    def run() -> None:
        try:
            if not stop.is_set():
                for item in produce(stop.is_set):
                    loop.call_soon_threadsafe(items.put_nowait, item)
                    if stop.is_set():
                        break
        finally:
            loop.call_soon_threadsafe(items.put_nowait, _END)

    running = loop.run_in_executor(executor, run)
    try:
        while (item := await items.get()) is not _END:
            yield item  # type: ignore[misc]
        await running
    finally:
        stop.set()
        if not running.done():
            running.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.shield(running)
