"""A step that is done once and recorded: with its result, also what models have used for it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from serve_app.core.costs import METER, Meter
from serve_app.core.errors import AppError
from serve_app.core.jobs import failure_of
from serve_app.jobs.recorded import read_record, used_in, write_failure, write_result

T = TypeVar("T")
Keep = Callable[[Callable[[], Coroutine[Any, Any, str]]], Awaitable[str]]
"""The record that is kept of a step, else the one that it makes now."""


async def recorded_step(name: str, work: Callable[[], Awaitable[T]], keep: Keep) -> T:
    """The work's result; the recorded one when an earlier run of the job has done it, whose use of
    models is then metered here: before it was killed, it could not charge it.
    """
    done: list[T] = []
    meter, is_replayed = METER.get() or Meter(), True

    async def recorded() -> str:
        nonlocal is_replayed
        is_replayed = False
        try:
            done.append(await work())
        except AppError as error:
            return write_failure(failure_of(error), meter.used.recorded())
        return await asyncio.to_thread(write_result, done[0], meter.used.recorded())

    record = await keep(recorded)
    if done:
        return done[0]
    if is_replayed:
        meter.used.read(await asyncio.to_thread(used_in, record))
    result: T = await asyncio.to_thread(read_record, record, stage=name)
    return result
