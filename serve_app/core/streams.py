"""Async streams: peeking at the first item, batching items that come faster than they leave."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar, cast

from serve_app.core.chat import ChatDelta

T = TypeVar("T")
QUEUE_ITEMS = 1024


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


async def close(items: AsyncIterator[object]) -> None:
    """Close an async generator; other iterators have nothing to close."""
    if isinstance(items, AsyncGenerator):
        await items.aclose()


async def batched(items: AsyncIterator[T], *, window_s: float) -> AsyncGenerator[list[T]]:
    """Group items so that at most one list leaves per `window_s`.

    The first item, and every item that comes after a pause of `window_s`, leaves at once; only
    items that come faster wait, at most `window_s`. An error is raised after the items before it.
    """
    queue: asyncio.Queue[T] = asyncio.Queue(QUEUE_ITEMS)
    pump = asyncio.create_task(_pump(items, queue))
    loop = asyncio.get_running_loop()
    sent_at = 0.0
    try:
        while True:
            batch = await _next_batch(queue, pump)
            if not batch:
                return
            wait = sent_at + window_s - loop.time()
            if wait > 0 and not pump.done():
                await asyncio.wait((pump,), timeout=wait)
            while not queue.empty():
                batch.append(queue.get_nowait())
            sent_at = loop.time()
            yield batch
    finally:
        pump.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await pump
        await close(items)


async def _pump(items: AsyncIterator[T], queue: asyncio.Queue[T]) -> None:
    async for item in items:
        await queue.put(item)


async def _next_batch(queue: asyncio.Queue[T], pump: asyncio.Task[None]) -> list[T]:
    """At least one item; none when the stream has ended, and its error when it failed."""
    if queue.empty():
        getter = asyncio.ensure_future(queue.get())
        try:
            await asyncio.wait((getter, pump), return_when=asyncio.FIRST_COMPLETED)
            if getter.done():
                return [getter.result()]
        finally:
            getter.cancel()
    if not queue.empty():
        return [queue.get_nowait()]
    await pump
    return []


def joined(items: list[T]) -> list[T]:
    """Neighbouring chat deltas of one choice joined into one; everything else as it is."""
    result: list[T] = []
    for item in items:
        last = result[-1] if result else None
        if isinstance(item, ChatDelta) and isinstance(last, ChatDelta) and _fits(last, item):
            result[-1] = cast("T", _join(last, item))
        else:
            result.append(item)
    return result


def _fits(left: ChatDelta, right: ChatDelta) -> bool:
    """Whether the order of text, reasoning and calls survives joining."""
    plain = not (left.tool_calls or right.tool_calls or left.finish_reason)
    same_kind = not (left.text and right.reasoning) and not (left.reasoning and right.text)
    return plain and same_kind and left.index == right.index


def _join(left: ChatDelta, right: ChatDelta) -> ChatDelta:
    return ChatDelta(
        index=left.index,
        text=left.text + right.text,
        reasoning=left.reasoning + right.reasoning,
        logprobs=left.logprobs + right.logprobs,
        finish_reason=right.finish_reason,
    )
