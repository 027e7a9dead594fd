"""A limit of time is not mistaken for the time-out of what runs within it."""

import asyncio

import pytest

from serve_app.runtime.limits import LimitPassed, within


async def test_what_takes_too_long_is_stopped() -> None:
    stopped = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    with pytest.raises(LimitPassed, match="did not end within"):
        async with within(0.01):
            await endless()
    assert stopped.is_set()


async def test_a_time_out_of_the_block_stays_its_own() -> None:
    with pytest.raises(TimeoutError, match="of the store"):
        async with within(60):
            raise TimeoutError("of the store")


async def test_a_cancellation_stays_one() -> None:
    async def waiting() -> None:
        async with within(60):
            await asyncio.Event().wait()

    task = asyncio.create_task(waiting())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
