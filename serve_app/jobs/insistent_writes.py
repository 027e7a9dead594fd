"""Changes of the table of jobs that must not be missed, however long the database is away."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from serve_app.core.errors import Unavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")
AGAIN_S = 0.5


async def until_stored(work: Callable[[], Awaitable[T]]) -> T:
    """The work's result, once the database takes it."""
    while True:
        try:
            return await work()
        except Unavailable as error:
            logger.warning("a job waits for the database: %s", error.message)
            await asyncio.sleep(AGAIN_S)
