"""A JobExecutor from its parts, the same in a replica and in a test."""

from collections.abc import Callable, Mapping
from functools import partial

from serve_app.blobs.store import FsspecBlobStore
from serve_app.catalog.catalog import Models
from serve_app.catalog.dispatch import execute
from serve_app.core.config import AppConfig
from serve_app.core.message import Progress
from serve_app.core.operations import Operation, Result, operation_name
from serve_app.core.stages import Stage
from serve_app.database.connection import Database
from serve_app.jobs.executor import JobExecutor
from serve_app.jobs.leases import Leases
from serve_app.jobs.outcomes import outcome
from serve_app.jobs.outputs import OutputArchive
from serve_app.jobs.queues import Queues
from serve_app.jobs.store import JobStore

ComposePipeline = Callable[[AppConfig, Models, Stage], Models]
"""The catalog with the pipeline in it, its stages run by a Stage; called once per job."""


class Performer:
    """Does operations over a catalog: a pipeline has its own stages, any other is one."""

    def __init__(
        self,
        config: AppConfig,
        models: Models,
        blobs: FsspecBlobStore,
        compose: Mapping[str, ComposePipeline],
    ) -> None:
        self._config = config
        self._models = models
        self._blobs = blobs
        self._compose = compose

    async def __call__(self, operation: Operation, stage: Stage) -> Result:
        """The operation's result."""
        name = operation_name(operation)
        if name in self._compose:
            models = self._compose[name](self._config, self._models, stage)
            return await self._run(models, operation, lambda p: stage.report(p.phase, p))
        report = partial(stage.report, name)
        return await stage(name, lambda: self._run(self._models, operation, report))

    async def _run(
        self, models: Models, operation: Operation, report: Callable[[Progress], None]
    ) -> Result:
        events = execute(models, operation)
        return await outcome(operation, events, blobs=self._blobs, report=report)


def job_executor(
    config: AppConfig,
    deployments: tuple[str, ...],
    *,
    store: JobStore,
    leases: Leases,
    database: Database,
    blobs: FsspecBlobStore,
    perform: Performer,
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
        max_pending=config.limits.max_pending,
        stage_attempts=settings.stage_attempts,
        cancels_on_disconnect=settings.on_disconnect == "cancel",
    )
