"""Stages of a pipeline: a plain call here, a durable step where jobs are recorded."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError
from typing_extensions import override

from serve_app.core.early_end import EarlyEnd
from serve_app.core.errors import AppError, UpstreamError
from serve_app.core.message import Message, Progress
from serve_app.core.operation import Operation, R, Run

T = TypeVar("T")
M = TypeVar("M", bound=Message)


class AnotherVersion(Exception):
    """The record of a stage is one that this version cannot read.

    No AppError: a pipeline goes on without a part that has failed, and must not go on without one
    that has been made.
    """

    def __init__(self, stage: str) -> None:
        super().__init__(stage)
        self.message = (
            f"stage {stage!r} was recorded by another version of this server and cannot be read; "
            "send the job again"
        )


class Pieces(Protocol):
    """Where the pieces of a result are kept while the others are made."""

    async def made(self) -> Message | None:
        """Those of an earlier run."""
        ...

    async def keep(self, made: Message, *, answered: EarlyEnd | None = None) -> None:
        """All that are there; with them, that what was asked for is done."""
        ...

    async def asked(self) -> EarlyEnd:
        """Wait until no more, or not this piece, is wanted."""
        ...


class StageReports(Protocol):
    """What the work of a stage says while it is done."""

    def report(self, name: str, progress: Progress) -> None:
        """How far the work of a stage is."""
        ...

    async def hold(self, made: object) -> None:
        """Keep the bytes that a value refers to as long as the job runs: those of what no stage
        has returned yet. Of what a stage returns that is done by itself.
        """
        ...


class Stage(StageReports, Protocol):
    """Runs the work of a named stage. Stages may run at the same time; those that do must be begun
    in the same order whenever the pipeline is run again, with nothing awaited in between. `pieces`
    are those of a job that may end early.
    """

    pieces: Pieces | None = None

    async def __call__(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """The work's result. An AppError comes out with the name of the stage."""
        ...


class PlainStage(Stage):
    """A Stage that records nothing."""

    @override
    async def __call__(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await work()
        except AppError as error:
            note_stage(error, name)
            raise

    def report(self, name: str, progress: Progress) -> None:
        """Nobody listens."""

    async def hold(self, made: object) -> None:
        """Nothing is taken away."""


def note_stage(error: AppError, name: str) -> None:
    """Note in an error which stage failed; the innermost stays."""
    error.stage = error.stage or name


class Stages(StageReports):
    """What a pipeline works with: its stages, and the one way to run operations in them."""

    def __init__(self, run: Run, stage: Stage) -> None:
        self.operations = run
        self._stage = stage

    async def __call__(self, name: str, work: Callable[[], Awaitable[T]], kind: type[T]) -> T:
        """As Stage does. AnotherVersion where what is on record is nothing of this kind."""
        result = await self._stage(name, work)
        if not _is_a(result, kind):
            raise AnotherVersion(name)
        return result

    @override
    def report(self, name: str, progress: Progress) -> None:
        self._stage.report(name, progress)

    @override
    async def hold(self, made: object) -> None:
        await self._stage.hold(made)

    async def run(self, name: str, operation: Operation[R]) -> R:
        """The outcome of an operation that is a stage by itself."""
        return await recorded_outcome(
            self._stage, name, operation, lambda: self.outcome(name, operation)
        )

    async def outcome(self, name: str, operation: Operation[R]) -> R:
        """The outcome of an operation that is a part of a stage; its progress is the stage's."""
        events = self.operations(operation)
        return await result_of(self._stage, name, events, operation.result_type())


async def recorded_outcome(
    stage: Stage, name: str, operation: Operation[Any], work: Callable[[], Awaitable[T]]
) -> T:
    """The outcome of a stage that is one operation. AnotherVersion where what is on record is no
    result of it.
    """
    outcome = await stage(name, work)
    if not isinstance(outcome, operation.result):
        raise AnotherVersion(name)
    return outcome


def _is_a(value: object, kind: type[Any]) -> bool:
    """Whether a value is of a kind, which may be that of a collection with all its items."""
    try:
        TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


async def result_of(
    stage: StageReports, name: str, events: AsyncIterator[Message], kind: type[M]
) -> M:
    """The result of an operation that a stage does; its progress is the stage's. The stream is
    read to its end, because the cost of the work comes after the result.
    """
    result: M | None = None
    try:
        async for event in events:
            if isinstance(event, Progress):
                stage.report(name, event)
            elif isinstance(event, kind):
                result = event
    finally:
        # `async for` alone does not.
        if isinstance(events, AsyncGenerator):
            await events.aclose()
    if result is None:
        raise UpstreamError(f"{name!r} ended without a result")
    return result
