"""Work at the same time, begun in an order that a Stage can rely on."""

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeAlias, TypeVar

from serve_app.core.errors import AppError, Cancelled

T = TypeVar("T")
Attempt: TypeAlias = tuple[T | None, AppError | None]
"""A result, or why there is none."""


async def gather_in_order(*work: Coroutine[None, None, Any]) -> list[Any]:
    """What all return, once all have ended, in their order. They begin in this order too, which a
    Stage asks for; the first error is raised.
    """
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


async def attempted(work: Awaitable[T]) -> Attempt[T]:
    """The result, or what failed. A cancelled job does not go on without a part of it."""
    try:
        return await work, None
    except Cancelled:
        raise
    except AppError as error:
        return None, error
