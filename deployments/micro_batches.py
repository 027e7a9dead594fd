"""Grouping what concurrent requests bring into batches for a device that does one at a time."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from serve_app.core.errors import BackendUnavailable

Item = TypeVar("Item")
Result = TypeVar("Result")


class MicroBatches(Generic[Item, Result]):
    """Runs `run` on batches in the one thread of `worker`; what arrives meanwhile is the next one.

    `run` answers one result per item, in order. A batch is `max_items` at most, and padded to its
    longest item, by `size`, no more than `max_size`; one item alone may be larger.
    """

    def __init__(
        self,
        worker: ThreadPoolExecutor,
        run: Callable[[list[Item]], Sequence[Result]],
        *,
        size: Callable[[Item], int],
        max_size: int,
        max_items: int = 64,
    ) -> None:
        self._worker = worker
        self._run = run
        self._size = size
        self._max_size = max_size
        self._max_items = max_items
        self._waiting: deque[tuple[Item, Future[Result]]] = deque()
        self._taking = threading.Lock()
        self._closed = False

    async def results(self, items: Sequence[Item]) -> list[Result]:
        """One result per item, in order. Items of a cancelled call that wait are left out.

        They are queued by size, so that a batch holds items of like length.
        """
        futures: list[Future[Result]] = [Future() for _ in items]
        by_size = sorted(range(len(items)), key=lambda place: self._size(items[place]))
        with self._taking:
            if self._closed:
                raise _unloaded()
            self._waiting.extend((items[place], futures[place]) for place in by_size)
            self._worker.submit(self._run_waiting)
        return list(await asyncio.gather(*map(asyncio.wrap_future, futures)))

    def close(self) -> None:
        """Refuse what waits and what comes. The worker is the caller's to stop, afterwards."""
        with self._taking:
            self._closed = True
            waiting = list(self._waiting)
            self._waiting.clear()
        for _, future in waiting:
            if future.set_running_or_notify_cancel():
                future.set_exception(_unloaded())

    def _run_waiting(self) -> None:
        """One batch, then the worker's other work, then the rest."""
        with self._taking:
            batch = self._next_batch()
            if self._waiting:
                self._worker.submit(self._run_waiting)
        if not batch:
            return
        try:
            results = self._run([item for item, _ in batch])
        except Exception as error:
            for _, future in batch:
                future.set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            future.set_result(result)

    def _next_batch(self) -> list[tuple[Item, Future[Result]]]:
        batch: list[tuple[Item, Future[Result]]] = []
        longest = 0
        while self._waiting and len(batch) < self._max_items:
            longest = max(longest, self._size(self._waiting[0][0]))
            if batch and longest * (len(batch) + 1) > self._max_size:
                break
            item, future = self._waiting.popleft()
            if future.set_running_or_notify_cancel():
                batch.append((item, future))
        return batch


def _unloaded() -> BackendUnavailable:
    return BackendUnavailable("the model was unloaded", remedy="try again", retry_after_s=1)
