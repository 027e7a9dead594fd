"""What is done again and again goes on, whatever it raises."""

import asyncio

import pytest

from serve_app.core.errors import Unavailable
from serve_app.jobs.periodic_tasks import run_periodically


@pytest.mark.parametrize(
    "surprise", [RuntimeError(), asyncio.CancelledError(), Unavailable("the database is away")]
)
async def test_a_task_that_fails_is_done_again(surprise: BaseException) -> None:
    done_again = asyncio.Event()
    times = 0

    async def task() -> None:
        nonlocal times
        times += 1
        if times == 1:
            raise surprise
        done_again.set()

    repeating = asyncio.create_task(run_periodically(task, every_s=0))
    async with asyncio.timeout(60):
        await done_again.wait()
    repeating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await repeating
