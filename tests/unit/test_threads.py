"""Blocking work as an async stream, and callbacks as an iterator."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from serve_app.core.errors import BackendUnavailable
from serve_app.runtime.threads import in_thread, in_turn, iterate_callbacks, pushed

Stop = Callable[[], bool]


class Source:
    """Counts up until it is told to stop, and knows in which threads it ran and ended."""

    def __init__(self, *, count: int | None = None, fails_after: int | None = None) -> None:
        self.count = count
        self.fails_after = fails_after
        self.threads: set[str] = set()
        self.is_closed = threading.Event()

    def numbers(self, stop: Stop) -> Iterator[int]:
        number = 0
        try:
            while not stop() and number != self.count:
                self.threads.add(threading.current_thread().name)
                if number == self.fails_after:
                    raise ValueError(f"number {number}")
                yield number
                number += 1
        finally:
            self.is_closed.set()


async def test_items_come_in_order_from_another_thread() -> None:
    source = Source(count=1000)
    assert [number async for number in in_thread(source.numbers)] == list(range(1000))
    assert threading.current_thread().name not in source.threads
    assert source.is_closed.is_set()


async def test_the_executor_can_be_chosen() -> None:
    source = Source(count=3)
    with ThreadPoolExecutor(1, thread_name_prefix="espeak") as executor:
        assert [number async for number in in_thread(source.numbers, executor)] == [0, 1, 2]
    assert source.threads == {"espeak_0"}


async def test_an_error_comes_after_the_items_before_it() -> None:
    source = Source(fails_after=2)
    stream = in_thread(source.numbers)
    assert [await anext(stream), await anext(stream)] == [0, 1]
    with pytest.raises(ValueError, match="number 2"):
        await anext(stream)


async def test_an_error_while_it_begins_is_raised() -> None:
    def refuse(stop: Stop) -> Iterator[int]:
        raise ValueError("cannot begin")

    with pytest.raises(ValueError, match="cannot begin"):
        await anext(in_thread(refuse))


async def test_closing_waits_until_the_thread_has_stopped() -> None:
    source = Source()
    stream = in_thread(source.numbers)
    assert await anext(stream) == 0
    await stream.aclose()
    assert source.is_closed.is_set()


async def test_cancelling_waits_until_the_thread_has_stopped() -> None:
    source = Source()
    has_begun = asyncio.Event()

    async def consume() -> None:
        async for _ in in_thread(source.numbers):
            has_begun.set()

    consumer = asyncio.create_task(consume())
    await has_begun.wait()
    consumer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consumer
    assert source.is_closed.is_set()


async def test_an_error_after_closing_is_nobodys() -> None:
    def produce(stop: Stop) -> Iterator[int]:
        yield 0
        while not stop():
            yield 1
        raise ValueError("too late")

    unheard: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    stream = in_thread(produce)
    await anext(stream)
    await stream.aclose()
    assert unheard == []


async def test_work_left_before_its_thread_is_free_never_begins() -> None:
    source, gate = Source(), threading.Event()
    with ThreadPoolExecutor(1) as executor:
        executor.submit(gate.wait)
        stream = in_thread(source.numbers, executor)
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        waiting.cancel()
        # Not when the thread is free at last: nothing is held, and a place is taken.
        done, _ = await asyncio.wait((waiting,), timeout=5)
        gate.set()
        assert done == {waiting}
        assert waiting.cancelled()
    assert source.threads == set()


def never() -> bool:
    return False


def test_callbacks_become_items() -> None:
    def work(take: Callable[[bytes], bool]) -> None:
        for number in range(500):
            assert take(bytes([number % 256]))

    assert b"".join(iterate_callbacks(work, never)) == bytes(n % 256 for n in range(500))


def test_an_error_of_the_work_is_raised_after_its_items() -> None:
    def work(take: Callable[[bytes], bool]) -> None:
        take(b"a")
        raise ValueError("broken")

    items = iterate_callbacks(work, never)
    assert next(items) == b"a"
    with pytest.raises(ValueError, match="broken"):
        next(items)


@pytest.mark.parametrize("way", ["stop", "close"])
def test_work_is_told_to_end(way: str) -> None:
    stop, refused = threading.Event(), threading.Event()

    def work(take: Callable[[bytes], bool]) -> None:
        while take(b"x"):
            pass
        refused.set()

    items = iterate_callbacks(work, stop.is_set)
    assert next(items) == b"x"
    if way == "stop":
        stop.set()
        assert set(items) <= {b"x"}
    else:
        items.close()  # type: ignore[attr-defined]
    assert refused.is_set()


def test_work_without_a_callback_gives_nothing() -> None:
    assert list(iterate_callbacks(lambda _: None, never)) == []


def test_work_is_done_in_turn_by_the_executors_thread() -> None:
    with ThreadPoolExecutor(1, thread_name_prefix="turns") as executor:
        assert in_turn(executor, lambda: threading.current_thread().name) == "turns_0"
        with pytest.raises(RuntimeError, match="its own"):
            in_turn(executor, _fails)
    with pytest.raises(BackendUnavailable, match="unloaded"):
        in_turn(executor, lambda: None)


def test_work_that_was_still_waiting_when_the_executor_shut_down() -> None:
    executor = ThreadPoolExecutor(1)
    begun, goes_on = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        goes_on.wait()

    executor.submit(slow)
    begun.wait()
    errors: list[Exception] = []

    def wait() -> None:
        try:
            in_turn(executor, lambda: None)
        except BackendUnavailable as error:
            errors.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    while executor._work_queue.qsize() == 0:
        pass
    executor.shutdown(wait=False, cancel_futures=True)
    goes_on.set()
    waiting.join()
    assert len(errors) == 1


def _fails() -> None:
    raise RuntimeError("its own error")


def test_a_cancellation_that_nobody_asked_for_ends_what_is_called_back() -> None:
    def cancelled(_take: Callable[[bytes], bool]) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        list(iterate_callbacks(cancelled, lambda: False))


def test_a_cancellation_that_nobody_asked_for_is_no_unloading() -> None:
    def cancelled() -> None:
        raise CancelledError

    with ThreadPoolExecutor(1) as executor, pytest.raises(CancelledError):
        in_turn(executor, cancelled)


async def test_an_iterator_that_is_empty_too_soon_keeps_nobody_waiting() -> None:
    """asyncio cannot hand a StopIteration on, and its future would never be done."""

    def work(_push: Callable[[int], None], _stop: Stop) -> None:
        next(iter(()))

    with pytest.raises(RuntimeError, match="StopIteration"):
        await anext(pushed(work))
