"""Async streams: peeking at the first item, batching items that come faster than they leave."""

import asyncio
import contextlib
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar, cast

from typing_extensions import override

from serve_app.core.message import Progress
from serve_app.core.text.chat import ChatDelta

T = TypeVar("T")
MAX_WAITING = 1024
PROGRESS_WINDOW_S = 0.1


async def started(items: AsyncIterator[T]) -> AsyncGenerator[T]:
    """Wait for the first item, so that errors known before it are raised here, then pass all on.

    Closing the result closes `items`.
    """
    first = await anext(items)

    async def chained() -> AsyncGenerator[T]:
        try:
            yield first
            async for item in items:
                yield item
        finally:
            await close(items)

    return chained()


async def once(item: T) -> AsyncGenerator[T]:
    """A stream of one item."""
    yield item


async def close(items: AsyncIterator[object]) -> None:
    """Close an async generator; other iterators have nothing to close."""
    if isinstance(items, AsyncGenerator):
        await items.aclose()


@contextlib.asynccontextmanager
async def closing(items: AsyncIterator[object]) -> AsyncGenerator[None]:
    """Close the iterator when the block is left: `async for` alone does not."""
    try:
        yield
    finally:
        await close(items)


class Gatherable(AsyncGenerator[T, None]):
    """A stream whose items can also be had at once, for less than one by one."""

    @abstractmethod
    async def gathered(self) -> list[T]:
        """All items; nothing is left to read then."""


class GatherableItems(Gatherable[T]):
    """The items of a generator, or those that `gather` brings at once."""

    def __init__(self, items: AsyncGenerator[T], gather: Callable[[], Awaitable[list[T]]]) -> None:
        self._items = items
        self._gather = gather

    @override
    async def gathered(self) -> list[T]:
        return await self._gather()

    @override
    def __anext__(self) -> Coroutine[Any, Any, T]:
        return self._items.__anext__()

    @override
    def asend(self, value: None) -> Coroutine[Any, Any, T]:
        return self._items.asend(value)

    @override
    def athrow(self, *error: Any) -> Coroutine[Any, Any, T]:
        return self._items.athrow(*error)

    @override
    def aclose(self) -> Coroutine[Any, Any, None]:
        return self._items.aclose()


async def gathered(items: AsyncIterator[T]) -> list[T]:
    """All items, for callers that need no part before the end; `items` is closed whatever comes."""
    if isinstance(items, Gatherable):
        return await items.gathered()
    async with closing(items):
        return [item async for item in items]


async def condensed(items: AsyncIterator[T]) -> list[T]:
    """All items, joined as they come; `items` is closed whatever comes."""
    kept, waiting = list[T](), list[T]()
    async with closing(items):
        async for item in items:
            waiting.append(item)
            if len(waiting) >= MAX_WAITING:
                kept += joined(waiting)
                waiting = []
                # An engine that never waits would let nobody else run.
                await asyncio.sleep(0)
    return kept + joined(waiting)


async def batched(
    items: AsyncIterator[T], *, window_s: float, progress_window_s: float = PROGRESS_WINDOW_S
) -> AsyncGenerator[list[T]]:
    """Group items so that at most one list leaves per `window_s`.

    The first item, and every item that comes after a pause of `window_s`, leaves at once; only
    items that come faster wait, at most `window_s` or until `MAX_WAITING` of them do. Progress
    waits longer, `progress_window_s`, but only for more of it: a step may take milliseconds, and
    nobody looks that often. An error is raised after the items before it. Closing the result
    closes `items`.
    """
    relay = Relay(items)
    pump = asyncio.create_task(relay.pump())
    loop = asyncio.get_running_loop()
    next_at = 0.0
    try:
        while await relay.has_items():
            pause = next_at - loop.time()
            if pause > 0:
                await relay.gather_more(pause)
            batch = relay.take()
            relay.ends_in_progress = isinstance(batch[-1], Progress)
            next_at = loop.time() + (progress_window_s if relay.ends_in_progress else window_s)
            yield batch
        await pump
    finally:
        pump.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await pump
        await close(items)


class Relay(Generic[T]):
    """Items between the task that pumps them in and the one that takes them out in lists.

    Made for engines that say a token in microseconds: an item costs an append and a look at a
    flag; futures and timers are made per list, not per item.
    """

    def __init__(self, items: AsyncIterator[T]) -> None:
        self._items = items
        self._waiting: list[T] = []
        self.ends_in_progress = False
        self._has_ended = False
        self._arrived = asyncio.Event()
        self._enough = asyncio.Event()
        self._has_room = asyncio.Event()

    async def pump(self) -> None:
        """Take in everything, at most `MAX_WAITING` items ahead of the other side."""
        try:
            async for item in self._items:
                self._waiting.append(item)
                self._arrived.set()
                if self.ends_in_progress and not isinstance(item, Progress):
                    self._enough.set()
                if len(self._waiting) >= MAX_WAITING:
                    self._enough.set()
                    self._has_room.clear()
                    await self._has_room.wait()
        finally:
            self._has_ended = True
            self._arrived.set()
            self._enough.set()

    async def has_items(self) -> bool:
        """Wait for an item; false when the stream has ended without one."""
        await self._arrived.wait()
        return bool(self._waiting)

    async def gather_more(self, pause_s: float) -> None:
        """Wait that long, or until no more can come."""
        timer = asyncio.get_running_loop().call_later(pause_s, self._enough.set)
        await self._enough.wait()
        timer.cancel()

    def take(self) -> list[T]:
        """Everything that waits."""
        items, self._waiting = self._waiting, []
        self._has_room.set()
        if not self._has_ended:
            self._arrived.clear()
            self._enough.clear()
        return items


def joined(items: list[T]) -> list[T]:
    """Neighbouring chat deltas of one choice joined into one, and of neighbouring progress of one
    phase the last; everything else as it is.
    """
    result: list[T] = []
    run: list[ChatDelta] = []
    for item in items:
        if isinstance(item, Progress) and not run and result and _is_same(result[-1], item):
            result.pop()
        if run and not _fits(run, item):
            result.append(cast("T", _join(run)))
            run = []
        if isinstance(item, ChatDelta):
            run.append(item)
        else:
            result.append(item)
    if run:
        result.append(cast("T", _join(run)))
    return result


def _is_same(before: object, progress: Progress) -> bool:
    return isinstance(before, Progress) and before.phase == progress.phase


def _fits(run: list[ChatDelta], item: object) -> bool:
    """Whether the order of text, reasoning and calls survives joining: a run says one of them."""
    if not isinstance(item, ChatDelta) or item.index != run[0].index:
        return False
    if item.tool_calls or run[-1].tool_calls or run[-1].finish_reason:
        return False
    if item.thought or run[-1].thought:
        return False
    return not (item.text and not run[0].text) and not (item.reasoning and not run[0].reasoning)


def _join(run: list[ChatDelta]) -> ChatDelta:
    if len(run) == 1:
        return run[0]
    return ChatDelta(
        index=run[0].index,
        text="".join([delta.text for delta in run]),
        reasoning="".join([delta.reasoning for delta in run]),
        logprobs=tuple(logprob for delta in run for logprob in delta.logprobs),
        finish_reason=run[-1].finish_reason,
        stop_word=run[-1].stop_word,
        warnings=tuple(warning for delta in run for warning in delta.warnings),
        passed_on=b"".join([delta.passed_on for delta in run]),
    )
