"""Work at the same time, begun in an order that a Stage can rely on."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeAlias, TypeVar

from serve_app.core.errors import AppError, Cancelled

A = TypeVar("A")
T = TypeVar("T")
Tried: TypeAlias = tuple[T | None, AppError | None]
"""A result, or why there is none."""


async def together(*work: Coroutine[None, None, Any]) -> list[Any]:
    """What all return, once all have ended, in their order. They begin in this order too, which a
    Stage asks for; the first error is raised.
    """
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


async def each(items: Sequence[A], work: Callable[[A], Awaitable[T]], *, at_once: int) -> list[T]:
    """The results in the order of the items, so many worked on at the same time. The first error
    is raised as soon as it comes; what runs then is cancelled.
    """
    places = asyncio.Semaphore(at_once)

    async def placed(item: A) -> T:
        async with places:
            return await work(item)

    tasks = [asyncio.ensure_future(placed(item)) for item in items]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def tried(work: Awaitable[T]) -> Tried[T]:
    """The result, or what failed. A cancelled job does not go on without a part of it."""
    try:
        return await work, None
    except Cancelled:
        raise
    except AppError as error:
        return None, error
