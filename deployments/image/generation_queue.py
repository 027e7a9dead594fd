"""The queue in which images wait for the one thread that generates, and the requests they belong
to.

Knows nothing of diffusers: what is generated at once is decided by an equal `alike`.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from serve_app.core.errors import BackendUnavailable
from serve_app.core.image.samplers import ImageSampling
from serve_app.core.message import Progress
from serve_app.core.notices import Notice

GATHERING_S = 0.02
"""How long the thread waits for company before it starts; an image takes seconds."""

TELLING_S = 0.1
"""The thread tells of its steps this often: each time the event loop takes the interpreter from
it.
"""

T = TypeVar("T")


@dataclass(frozen=True)
class GeneratedImage:
    """A finished image, a Pillow image in RGB, and what it was sampled with, where that was asked
    for; the latents that it was decoded from, a tensor, likewise.
    """

    index: int
    image: Any
    was_cached: bool
    was_blacked: bool
    warnings: tuple[Notice, ...] = ()
    sampling: ImageSampling | None = None
    latents: Any = None


@dataclass(frozen=True)
class LatentImage:
    """What an image under way looks like, small: a Pillow image in RGB."""

    image: Any


Event = Progress | GeneratedImage | LatentImage


class GenerationRequest:
    """One request's images: what the thread tells of them, read on the event loop. Those that are
    `left_out` count as done. Every `preview_every_s` it wants to see one.
    """

    def __init__(
        self,
        count: int,
        *,
        steps: int,
        left_out: Collection[int] = (),
        preview_every_s: float | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event | Exception] = asyncio.Queue()
        self._settled = asyncio.Event()
        self._stopped = threading.Event()
        self._missing = self._unsettled = count - len(left_out)
        self._total = steps * count
        self._steps = [steps if index in left_out else 0 for index in range(count)]
        self._posted_at = -TELLING_S
        self._preview_every_s = preview_every_s
        # What is ready before the first is due has none: it would only cost time.
        self._previewed_at = time.monotonic()
        if not self._unsettled:
            self._settled.set()

    @property
    def is_stopped(self) -> bool:
        """Whether nobody waits any more."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Nobody waits any more."""
        self._stopped.set()

    async def events(self) -> AsyncGenerator[Event]:
        """Progress and images until all are generated; raises what the thread failed with."""
        missing = self._missing
        while missing:
            event = await self._events.get()
            if isinstance(event, Exception):
                raise event
            missing -= isinstance(event, GeneratedImage)
            yield event

    async def settled(self) -> None:
        """Wait until the thread works on none of its images."""
        await self._settled.wait()

    @property
    def wants_preview(self) -> bool:
        """In the thread: whether it is time for one."""
        every_s = self._preview_every_s
        return every_s is not None and time.monotonic() - self._previewed_at >= every_s

    def show(self, image: Any) -> None:
        """In the thread: a preview."""
        self._previewed_at = time.monotonic()
        self.post(LatentImage(image))

    def advance(self, indices: list[int], step: int) -> None:
        """In the thread: these images have come so far. Told at once or with what follows."""
        for index in indices:
            self._steps[index] = max(self._steps[index], step)
        current = min(sum(self._steps), self._total)
        now = time.monotonic()
        if current < self._total and now - self._posted_at < TELLING_S:
            return
        self._posted_at = now
        self.post(Progress(phase="denoise", current=current, total=self._total))

    def post(self, event: Event | Exception) -> None:
        """In the thread: hand something on."""
        self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    def settle(self) -> None:
        """From any thread: one of its images is not worked on any more."""
        self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        self._unsettled -= 1
        if not self._unsettled:
            self._settled.set()


@dataclass(eq=False)
class PendingImage(Generic[T]):
    """One image of a request. Those with an equal `alike` can be generated together, None alone."""

    order: GenerationRequest
    index: int
    batch_key: Hashable
    work: T
    is_settled: bool = field(default=False, init=False)

    def settle(self) -> None:
        """Nobody works on it any more; once is enough."""
        if not self.is_settled:
            self.is_settled = True
            self.order.settle()


class GenerationQueue(Generic[T]):
    """First come, first served; up to `max_batch` alike ones at once. `generate` never raises."""

    def __init__(
        self, generate: Callable[[list[PendingImage[T]]], None], *, max_batch: int
    ) -> None:
        self._generate = generate
        self._max_batch = max_batch
        self._waiting: deque[PendingImage[T]] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="diffusers")

    def put(self, images: list[PendingImage[T]]) -> None:
        """Queue a request's images. BackendUnavailable after `close`."""
        with self._changed:
            if self._is_closed:
                raise unloaded()
            self._waiting.extend(images)
            self._changed.notify()
            self._thread.submit(self._generate_next)

    def drop(self, order: GenerationRequest) -> None:
        """Take out the images of an order that nobody waits for."""
        with self._changed:
            mine = [image for image in self._waiting if image.order is order]
            for image in mine:
                self._waiting.remove(image)
        for image in mine:
            image.settle()

    def close(self) -> None:
        """Refuse what waits and what comes; an image under way is finished by its thread."""
        with self._changed:
            self._is_closed = True
            waiting = list(self._waiting)
            self._waiting.clear()
            self._changed.notify()
        for image in waiting:
            image.order.post(unloaded())
            image.settle()
        self._thread.shutdown(wait=False)

    def _generate_next(self) -> None:
        """One batch; then what came meanwhile gets its turn."""
        with self._changed:
            batch = self._next_batch()
            if self._waiting and not self._is_closed:
                self._thread.submit(self._generate_next)
        if batch:
            self._generate(batch)
        for image in batch:
            image.settle()

    def _next_batch(self) -> list[PendingImage[T]]:
        def is_complete() -> bool:
            return not self._waiting or len(self._of_same_batch()) >= self._limit()

        self._changed.wait_for(is_complete, GATHERING_S)
        batch = self._of_same_batch()[: self._limit()] if self._waiting else []
        for image in batch:
            self._waiting.remove(image)
        return batch

    def _limit(self) -> int:
        return 1 if self._waiting[0].batch_key is None else self._max_batch

    def _of_same_batch(self) -> list[PendingImage[T]]:
        """The first, and all others like it."""
        first = self._waiting[0]
        return [p for p in self._waiting if p is first or p.batch_key == first.batch_key]


def unloaded() -> BackendUnavailable:
    """What requests are told that came too late."""
    return BackendUnavailable("the model was unloaded", remedy="try again", retry_after_s=1)
