"""Limits of time that are not mistaken for the time-outs of what runs within them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class LimitPassed(Exception):
    """The block took longer than its limit. No TimeoutError, which any library may raise."""


@asynccontextmanager
async def within(seconds: float) -> AsyncGenerator[None]:
    """Cancel the block when it takes longer, and raise LimitPassed. A TimeoutError that the block
    raises by itself, as fsspec and aiohttp do, stays what it is.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError:
        if limit.expired():
            raise LimitPassed(f"no end within {seconds:g} s") from None
        raise
