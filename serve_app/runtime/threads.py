"""Blocking work of an engine as an async stream, and libraries that call back as an iterator."""

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import CancelledError, Executor
from contextlib import asynccontextmanager
from typing import TypeVar, cast

from serve_app.core.errors import BackendUnavailable

T = TypeVar("T")
_END = object()


def unloaded() -> BackendUnavailable:
    """The error of work whose model was unloaded before or in the middle of it."""
    return BackendUnavailable("the model was unloaded", remedy="try again", retry_after_s=1)


def in_thread(
    produce: Callable[[Callable[[], bool]], Iterator[T]], executor: Executor | None = None
) -> AsyncGenerator[T]:
    """The items of an iterator that blocks; `produce` is given a function that says whether to
    stop. As `pushed` in everything else.
    """

    def work(push: Callable[[T], None], is_stopped: Callable[[], bool]) -> None:
        iterator = produce(is_stopped)
        try:
            for item in iterator:
                push(item)
                if is_stopped():
                    return
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    return pushed(work, executor)


async def pushed(
    work: Callable[[Callable[[T], None], Callable[[], bool]], None],
    executor: Executor | None = None,
) -> AsyncGenerator[T]:
    """What `work`, which blocks in a thread of `executor` or of the loop's own, hands on.

    `work` is given a function that takes an item and one that says whether to stop. Closing the
    generator makes it true and waits for the thread, so that whatever it holds is free afterwards;
    work that still waits for a thread never begins. BackendUnavailable when the executor is shut
    down, before or after the call.
    """
    loop = asyncio.get_running_loop()
    items: asyncio.Queue[object] = asyncio.Queue()
    begun, stop = threading.Event(), threading.Event()

    def push(item: T) -> None:
        loop.call_soon_threadsafe(items.put_nowait, item)

    try:
        running = loop.run_in_executor(executor, _work, work, push, begun, stop)
    except RuntimeError:
        raise unloaded() from None
    running.add_done_callback(lambda _: items.put_nowait(_END))
    try:
        while (item := await items.get()) is not _END:
            yield cast("T", item)
        if running.cancelled():
            raise unloaded()
        await running
    finally:
        stop.set()
        if begun.is_set():
            await asyncio.wait((running,))
        if running.done() and not running.cancelled():
            # An error that nobody waits for any more must not be reported as lost.
            running.exception()


def _work(
    work: Callable[[Callable[[T], None], Callable[[], bool]], None],
    push: Callable[[T], None],
    begun: threading.Event,
    stop: threading.Event,
) -> None:
    # In this order: whoever stops it sees that it has begun, or it sees that it is stopped.
    begun.set()
    if stop.is_set():
        return
    try:
        work(push, stop.is_set)
    except StopIteration as error:
        # asyncio cannot hand one on: whoever waits for the thread would wait for ever.
        raise RuntimeError("the work raised StopIteration") from error


async def to_its_end(running: "asyncio.Future[T]") -> T:
    """What the future gives. Who is cancelled meanwhile waits for its end all the same, so that
    whatever it holds is free afterwards: a thread cannot be stopped, and some work must not be.
    """
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait((running,))
        if not running.cancelled():
            # An error that nobody waits for any more must not be reported as lost.
            running.exception()
        raise


@asynccontextmanager
async def opened(make: Callable[[], T], close: Callable[[T], object]) -> AsyncGenerator[T]:
    """What `make` gives, for the block; `close` is told of it at the end. Both block and run in
    threads, to their ends, so that nothing stays open for somebody who was cancelled meanwhile.
    """
    loop = asyncio.get_running_loop()
    # A future of the executor and no task, since a loop that ends cancels all of its tasks.
    making = loop.run_in_executor(None, make)
    try:
        yield await to_its_end(making)
    finally:
        if making.done() and making.exception() is None:
            await to_its_end(loop.run_in_executor(None, close, making.result()))


def in_turn(executor: Executor, work: Callable[[], T]) -> T:
    """What `work` returns, done in the executor while the calling thread waits. BackendUnavailable
    when the executor is shut down, before or after the call.
    """
    try:
        running = executor.submit(work)
    except RuntimeError:
        raise unloaded() from None
    try:
        return running.result()
    except CancelledError:
        if not running.cancelled():
            raise
        raise unloaded() from None


def iterate_callbacks(
    work: Callable[[Callable[[bytes], bool]], None], stop: Callable[[], bool]
) -> Iterator[bytes]:
    """What `work` gives to its callback, as an iterator. The callback answers whether to go on."""
    chunks: queue.Queue[bytes | BaseException | None] = queue.Queue(maxsize=64)
    is_left = threading.Event()

    def take(chunk: bytes) -> bool:
        while not (stop() or is_left.is_set()):
            try:
                chunks.put(chunk, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def run() -> None:
        end: BaseException | None = None
        try:
            work(take)
        except BaseException as error:
            end = error
        while not is_left.is_set():
            try:
                chunks.put(end, timeout=0.1)
            except queue.Full:
                continue
            return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while isinstance(chunk := chunks.get(), bytes):
            yield chunk
        if isinstance(chunk, BaseException):
            raise chunk
    finally:
        is_left.set()
        thread.join()
