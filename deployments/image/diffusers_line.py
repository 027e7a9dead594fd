"""The line in which pictures wait for the one thread that draws, and the requests they belong to.

Knows nothing of diffusers: what is drawn at once is decided by an equal `alike`.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from serve_app.core.errors import BackendUnavailable
from serve_app.core.message import Progress

GATHERING_S = 0.02
"""How long the thread waits for company before it draws; a picture takes seconds."""

TELLING_S = 0.1
"""The thread tells of its steps this often: each time the event loop takes the interpreter from
it.
"""

T = TypeVar("T")


@dataclass(frozen=True)
class Drawn:
    """A finished picture, a Pillow image in RGB."""

    index: int
    image: Any
    was_known: bool
    was_blacked: bool
    warnings: tuple[str, ...] = ()


Event = Progress | Drawn


class Order:
    """One request's pictures: what the thread tells of them, read on the event loop."""

    def __init__(self, count: int, *, steps: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event | Exception] = asyncio.Queue()
        self._left = asyncio.Event()
        self._stopped = threading.Event()
        self._unsettled = count
        self._total = steps * count
        self._steps = [0] * count
        self._told_at = -TELLING_S

    @property
    def is_stopped(self) -> bool:
        """Whether nobody waits any more."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Nobody waits any more."""
        self._stopped.set()

    async def events(self) -> AsyncGenerator[Event]:
        """Progress and pictures until all are drawn; raises what the thread failed with."""
        missing = len(self._steps)
        while missing:
            event = await self._events.get()
            if isinstance(event, Exception):
                raise event
            missing -= isinstance(event, Drawn)
            yield event

    async def left(self) -> None:
        """Wait until the thread works on none of its pictures."""
        await self._left.wait()

    def advance(self, indices: list[int], step: int) -> None:
        """In the thread: these pictures have come so far. Told at once or with what follows."""
        for index in indices:
            self._steps[index] = max(self._steps[index], step)
        current = min(sum(self._steps), self._total)
        now = time.monotonic()
        if current < self._total and now - self._told_at < TELLING_S:
            return
        self._told_at = now
        self.tell(Progress(phase="denoise", current=current, total=self._total))

    def tell(self, event: Event | Exception) -> None:
        """In the thread: hand something on."""
        self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    def settle(self) -> None:
        """From any thread: one of its pictures is not worked on any more."""
        self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        self._unsettled -= 1
        if not self._unsettled:
            self._left.set()


@dataclass(eq=False)
class Picture(Generic[T]):
    """One picture of a request. Those with an equal `alike` can be drawn together, None alone."""

    order: Order
    index: int
    alike: Hashable
    work: T
    is_settled: bool = field(default=False, init=False)

    def settle(self) -> None:
        """Nobody works on it any more; once is enough."""
        if not self.is_settled:
            self.is_settled = True
            self.order.settle()


class DrawingLine(Generic[T]):
    """First come, first drawn; up to `max_batch` alike ones at once. `draw` never raises."""

    def __init__(self, draw: Callable[[list[Picture[T]]], None], *, max_batch: int) -> None:
        self._draw = draw
        self._max_batch = max_batch
        self._waiting: deque[Picture[T]] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="diffusers")

    def put(self, pictures: list[Picture[T]]) -> None:
        """Queue a request's pictures. BackendUnavailable after `close`."""
        with self._changed:
            if self._is_closed:
                raise unloaded()
            self._waiting.extend(pictures)
            self._changed.notify()
            self._thread.submit(self._draw_next)

    def drop(self, order: Order) -> None:
        """Take out the pictures of an order that nobody waits for."""
        with self._changed:
            mine = [picture for picture in self._waiting if picture.order is order]
            for picture in mine:
                self._waiting.remove(picture)
        for picture in mine:
            picture.settle()

    def close(self) -> None:
        """Refuse what waits and what comes; a picture under way is finished by its thread."""
        with self._changed:
            self._is_closed = True
            waiting = list(self._waiting)
            self._waiting.clear()
            self._changed.notify()
        for picture in waiting:
            picture.order.tell(unloaded())
            picture.settle()
        self._thread.shutdown(wait=False)

    def _draw_next(self) -> None:
        """One batch; then what came meanwhile gets its turn."""
        with self._changed:
            batch = self._taken()
            if self._waiting and not self._is_closed:
                self._thread.submit(self._draw_next)
        if batch:
            self._draw(batch)
        for picture in batch:
            picture.settle()

    def _taken(self) -> list[Picture[T]]:
        def is_complete() -> bool:
            return not self._waiting or len(self._alike()) >= self._limit()

        self._changed.wait_for(is_complete, GATHERING_S)
        batch = self._alike()[: self._limit()] if self._waiting else []
        for picture in batch:
            self._waiting.remove(picture)
        return batch

    def _limit(self) -> int:
        return 1 if self._waiting[0].alike is None else self._max_batch

    def _alike(self) -> list[Picture[T]]:
        """The first, and all others like it."""
        first = self._waiting[0]
        return [p for p in self._waiting if p is first or p.alike == first.alike]


def unloaded() -> BackendUnavailable:
    """What requests are told that came too late."""
    return BackendUnavailable("the model was unloaded; try again", retry_after_s=1)
