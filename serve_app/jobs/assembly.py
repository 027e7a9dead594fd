"""A JobExecutor from its parts, the same in a replica and in a test."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from serve_app.blobs.store import FsspecBlobStore
from serve_app.catalog.catalog import Catalog
from serve_app.core.config import AppConfig
from serve_app.core.costs import METER
from serve_app.core.early_end import EndsEarly
from serve_app.core.errors import AppError
from serve_app.core.message import Message, Progress
from serve_app.core.operation import Operation
from serve_app.core.pipelines import MakePipeline, PipelineOperation
from serve_app.core.prices import Pricing
from serve_app.core.stages import Pieces, Stage, Stages, recorded_outcome
from serve_app.core.usage import amounts_of
from serve_app.database.connection import Database
from serve_app.jobs.executor import JobExecutor
from serve_app.jobs.leases import Leases
from serve_app.jobs.outcomes import outcome
from serve_app.jobs.outputs import OutputArchive
from serve_app.jobs.piecewise import PiecewiseRun
from serve_app.jobs.queues import Queues
from serve_app.jobs.store import JobStore


class OperationExecutor:
    """Runs operations over a catalog: a pipeline has stages of its own, any other is one stage."""

    def __init__(
        self,
        config: AppConfig,
        catalog: Catalog,
        blobs: FsspecBlobStore,
        pipelines: Iterable[MakePipeline],
    ) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._pipelines = {made.operation.name: made for made in pipelines}
        self._media: dict[str, str] = {p.name: p.media for p in config.pipelines}

    async def __call__(self, operation: Operation[Any], stage: Stage) -> Message:
        """The operation's result."""
        name = operation.name
        if isinstance(operation, PipelineOperation):
            catalog = self._catalog.with_media(self._media[operation.pipeline])
            pipeline = self._pipelines[name](Stages(catalog.run, stage), self._blobs)
            events = pipeline.run(operation)
            return await self._outcome(operation, events, lambda p: stage.report(p.phase, p))
        report = partial(stage.report, name)
        return await recorded_outcome(
            stage, name, operation, lambda: self._made(operation, stage.pieces, report)
        )

    async def _made(
        self,
        operation: Operation[Any],
        pieces: Pieces | None,
        report: Callable[[Progress], None],
    ) -> Message:
        run = self._catalog.run
        if pieces is not None and isinstance(operation, EndsEarly) and operation.can_end_early:
            note_made = partial(self._note_made, operation)
            return await PiecewiseRun(
                operation, pieces, run=run, report=report, note_made=note_made
            ).outcome()
        return await self._outcome(operation, run(operation), report)

    def _note_made(self, operation: Operation[Any], made: Message) -> None:
        """What an earlier run has used for the pieces that it has made."""
        meter, amounts = METER.get(), amounts_of(made)
        if meter is None or amounts is None or operation.task is None:
            return
        # A model that is not there any more is told of when the rest is to be made.
        with suppress(AppError):
            found = self._catalog.find(operation.task, operation.model_name)
            # What this process has made in an earlier try is counted already.
            if found.ran not in meter.used.by_model:
                meter.used.add(found.ran, amounts)

    async def _outcome(
        self,
        operation: Operation[Any],
        events: AsyncIterator[Message],
        report: Callable[[Progress], None],
    ) -> Message:
        return await outcome(operation, events, blobs=self._blobs, report=report)


def job_executor(
    config: AppConfig,
    deployments: tuple[str, ...],
    *,
    store: JobStore,
    leases: Leases,
    database: Database,
    blobs: FsspecBlobStore,
    perform: OperationExecutor,
) -> JobExecutor:
    """That of one process, for the queues of some deployments."""
    queues = Queues(config)
    settings = config.jobs
    return JobExecutor(
        store,
        leases,
        queues={name: width for d in deployments for name, width in queues.of(d).items()},
        queue_of=queues.queue_of,
        stages_of=queues.stages_of,
        perform=perform,
        record=OutputArchive(config, database, blobs).record,
        pricing=Pricing(config.usage.prices),
        max_pending=config.limits.max_pending,
        stage_attempts=settings.stage_attempts,
        cancels_on_disconnect=settings.on_disconnect == "cancel",
    )
