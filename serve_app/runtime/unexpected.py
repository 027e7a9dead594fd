"""Turns unexpected exceptions into one error of the tree, so that they can cross a process boundary
and are not mistaken for the caller's own.

Serve's gRPC delivers a replica's exception as its bare class: a TimeoutError or CancelledError of
an engine would look like the caller's own, and a class with keyword-only arguments like a
TypeError.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import contextmanager
from typing import TypeVar, cast

from serve_app.core.errors import AppError, InternalError
from serve_app.runtime.disks import full_disk
from serve_app.runtime.streams import closing

logger = logging.getLogger(__name__)

T = TypeVar("T")
_END = object()


@contextmanager
def unexpected_errors(what: str, *, provider: str | None = None) -> Generator[None]:
    """Turn everything but AppErrors into an InternalError that says that `what` failed, and log it;
    a full disk is said to be one.
    The cancellation of the current task is no error, one that nobody asked for is.
    """
    try:
        yield
        return
    except AppError:
        raise
    except asyncio.CancelledError:
        if is_being_cancelled():
            raise
        logger.exception("%s was cancelled, but nobody requested it", what)
    except Exception as error:
        logger.exception("%s failed", what)
        if (full := full_disk(error)) is not None:
            raise full from None
    raise InternalError(
        f"{what} failed unexpectedly", remedy="the server's log says why", provider=provider
    ) from None


async def only_expected(
    items: AsyncIterator[T], what: str, *, provider: str | None = None
) -> AsyncGenerator[T]:
    """The items, and what they raise as `unexpected_errors` turns it. Whatever the reader throws
    in is the reader's own. Closing the result closes `items`.
    """
    async with closing(items):
        while True:
            with unexpected_errors(what, provider=provider):
                item = await anext(items, _END)
            if item is _END:
                return
            yield cast("T", item)


def is_being_cancelled() -> bool:
    """Whether somebody has asked the current task to stop."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
