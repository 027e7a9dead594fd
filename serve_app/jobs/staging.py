"""`JobStage`: a job's stages as recorded steps, retried where that may help."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from typing_extensions import override

from serve_app.core.costs import metered
from serve_app.core.errors import AppError, ModelNotReady, QueueFull, Unavailable
from serve_app.core.media import Blob
from serve_app.core.message import Progress
from serve_app.core.operations import blobs_of
from serve_app.core.stages import AnotherVersion, Pieces, Stage, note_stage
from serve_app.jobs.running_job import RunningJob
from serve_app.runtime.unexpected import unexpected_errors

logger = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_AT_MODEL_S = 2.0
"""How often a job looks how far the model is that it waits for."""


class Steps(Protocol):
    """Runs the steps of jobs so that a killed process resumes after the last finished one."""

    async def start(self, job_id: str) -> None:
        """Begin, or resume, the steps of a job that this process has claimed."""
        ...

    async def step(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """The work's result; the recorded one when the work was finished in an earlier run.
        AnotherVersion where that cannot be read.
        """
        ...


Hold = Callable[[list[Blob]], Awaitable[None]]
"""Keeps blobs from being swept away until the job has ended."""


class JobStage(Stage):
    """A Stage. `attempts` is how often work is begun whose process dies under it."""

    def __init__(
        self, steps: Steps, run: RunningJob, *, hold: Hold, attempts: int, pieces: Pieces
    ) -> None:
        self.pieces = pieces
        self._steps = steps
        self._run = run
        self._hold = hold
        self._attempts = attempts

    @override
    async def __call__(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        tracker = self._run.tracker
        tracker.begin(name)
        with metered() as meter:
            try:
                result = await self._steps.step(name, lambda: self._done(name, work))
            except (AppError, AnotherVersion) as error:
                tracker.end(name, failed=True, device_s=meter.device_s)
                if tracker.has_stages and isinstance(error, AppError):
                    note_stage(error, name)
                raise
            finally:
                self._run.used.merge(meter.used.by_model)
        tracker.end(name, device_s=meter.device_s)
        return result

    @override
    def report(self, name: str, progress: Progress) -> None:
        self._run.tracker.advance(name, progress)

    @override
    async def hold(self, made: object) -> None:
        if blobs := blobs_of(made):
            await self._hold(blobs)

    async def _done(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """The work's result. Its bytes are held before it is recorded: what is read from the
        record, however much later, is there.
        """
        result = await self._tried(name, work)
        await self.hold(result)
        return result

    async def _tried(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """Work again on what may pass. A process that dies under it is suspected of dying of it,
        so that is tried a few times; loading models and full queues are waited for.
        """
        attempt = 1
        while True:
            try:
                with unexpected_errors(repr(name)):
                    return await self._run.do(work)
            except Unavailable as error:
                if error.retry_after_s is None or attempt >= self._attempts:
                    raise
                pause_s = error.retry_after_s
                if isinstance(error, ModelNotReady):
                    self._run.tracker.wait(name, error.problem)
                    pause_s = min(pause_s, LOOK_AT_MODEL_S)
                else:
                    logger.warning("trying a stage again: %s", error.message)
                attempt += not isinstance(error, ModelNotReady | QueueFull)
                await self._run.do(_pause(pause_s))


def _pause(seconds: float) -> Callable[[], Awaitable[None]]:
    return lambda: asyncio.sleep(seconds)
