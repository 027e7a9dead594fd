"""How a pipeline runs its stages: a plain call here, a durable step where jobs are kept."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from serve_app.core.errors import AppError

T = TypeVar("T")


class Stage(Protocol):
    """Runs the work of a named stage."""

    async def __call__(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """The work's result. An AppError comes out with the stage's name in its message."""
        ...


async def run_stage(name: str, work: Callable[[], Awaitable[T]]) -> T:
    """A Stage that records nothing."""
    try:
        return await work()
    except AppError as error:
        error.message = f"stage {name!r}: {error.message}"
        raise
