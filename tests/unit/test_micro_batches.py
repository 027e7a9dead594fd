import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from deployments.micro_batches import MicroBatches
from serve_app.core.errors import BackendUnavailable


@pytest.fixture
async def worker() -> AsyncIterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=1) as executor:
        yield executor


class Doubling:
    """Doubles numbers, and remembers the batches; the first waits for `gate`."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = threading.Event()
        self._entered = threading.Event()

    async def entered(self) -> None:
        assert await asyncio.to_thread(self._entered.wait, 10)

    def __call__(self, batch: list[int]) -> list[int]:
        self._entered.set()
        self.gate.wait(60)
        self.batches.append(batch)
        if 13 in batch:
            raise BackendUnavailable("unlucky")
        return [2 * item for item in batch]


def batches_of(worker: ThreadPoolExecutor, run: Doubling) -> MicroBatches[int, int]:
    return MicroBatches(worker, run, size=lambda item: item, max_size=20, max_items=4)


async def test_what_comes_during_a_batch_is_the_next(worker: ThreadPoolExecutor) -> None:
    run = Doubling()
    batches = batches_of(worker, run)
    first = asyncio.create_task(batches.results([1]))
    await run.entered()
    others = [asyncio.create_task(batches.results([item])) for item in (2, 3, 4)]
    await asyncio.sleep(0)
    run.gate.set()
    assert await asyncio.gather(first, *others) == [[2], [4], [6], [8]]
    assert run.batches == [[1], [2, 3, 4]]


async def test_batches_are_sorted_and_bounded_and_results_in_order(
    worker: ThreadPoolExecutor,
) -> None:
    run = Doubling()
    run.gate.set()
    assert await batches_of(worker, run).results([9, 1, 50, 2, 8, 1, 1]) == [
        18,
        2,
        100,
        4,
        16,
        2,
        2,
    ]
    assert run.batches == [[1, 1, 1, 2], [8, 9], [50]]


async def test_a_failed_batch_fails_its_callers_only(worker: ThreadPoolExecutor) -> None:
    run = Doubling()
    run.gate.set()
    batches = batches_of(worker, run)
    with pytest.raises(BackendUnavailable, match="unlucky"):
        await batches.results([13])
    assert await batches.results([12]) == [24]


async def test_a_cancelled_call_leaves_its_waiting_items_undone(
    worker: ThreadPoolExecutor,
) -> None:
    run = Doubling()
    batches = batches_of(worker, run)
    first = asyncio.create_task(batches.results([1]))
    await run.entered()
    second = asyncio.create_task(batches.results([2]))
    third = asyncio.create_task(batches.results([3]))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    run.gate.set()
    assert await first == [2]
    assert await third == [6]
    assert run.batches == [[1], [3]]


async def test_closing_refuses_what_waits(worker: ThreadPoolExecutor) -> None:
    run = Doubling()
    batches = batches_of(worker, run)
    first = asyncio.create_task(batches.results([1]))
    await run.entered()
    second = asyncio.create_task(batches.results([2]))
    await asyncio.sleep(0)
    batches.close()
    run.gate.set()
    assert await first == [2]
    with pytest.raises(BackendUnavailable, match="unloaded"):
        await second
    with pytest.raises(BackendUnavailable, match="unloaded"):
        await batches.results([3])
