"""The deployment class of everything that runs jobs: `jobs` itself, and every pipeline.

A pipeline's deployment runs that pipeline's jobs over the families' handles; `jobs` runs those of
the families and does what concerns all jobs: it keeps pipelines that have work awake, calls back
and cleans up.
"""

import asyncio
import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from ray.serve.handle import DeploymentHandle

from serve_app.archive.archive import Archive
from serve_app.archive.sweep import INTERVAL_S, ArchiveSweep
from serve_app.blobs.store import FsspecBlobStore
from serve_app.blobs.uploads import uploads_of
from serve_app.core.config import AppConfig
from serve_app.core.jobs import Job, Submission
from serve_app.core.pipelines import MakePipeline
from serve_app.database.connection import Database, away_as_unavailable
from serve_app.jobs.assembly import OperationExecutor, job_executor
from serve_app.jobs.callbacks import Callbacks, Render
from serve_app.jobs.direct_table import Batch, DirectTable
from serve_app.jobs.executor import LOOK_S
from serve_app.jobs.leases import Leases
from serve_app.jobs.periodic_tasks import (
    JobRetention,
    PeriodicTask,
    PipelineDemand,
    run_periodically,
)
from serve_app.jobs.store import JobStore
from serve_app.jobs.workflows import Workflows
from serve_app.metering.usage_retention import UsageRetention
from serve_app.remote.catalog import Handles, live_catalog
from serve_app.runtime.garbage import collect_garbage_rarely
from serve_app.runtime.logs import log_to_stderr
from serve_app.runtime.temporary_files import use_own_temporary_folder
from serve_app.runtime.unexpected import unexpected_errors

RENEW_S = 5.0
CALLBACKS_S = 0.5


class JobsReplica:
    """Runs the jobs of one deployment. Exactly one replica's worth of DBOS lives in a process."""

    def __init__(
        self,
        config: AppConfig,
        name: str,
        families: Handles,
        *,
        make: Iterable[MakePipeline] = (),
    ) -> None:
        log_to_stderr()
        collect_garbage_rarely()
        use_own_temporary_folder()
        self._name = name
        self.blobs = FsspecBlobStore(config.storage.blobs_location)
        self.database = Database(config.storage.database_location)
        self.store = JobStore(self.database, self.blobs.url)
        self._leases = Leases(self.database, f"{name}-{secrets.token_hex(6)}")
        self._executor = job_executor(
            config,
            (name,),
            store=self.store,
            leases=self._leases,
            database=self.database,
            blobs=self.blobs,
            perform=OperationExecutor(config, live_catalog(config, families), self.blobs, make),
        )
        self.workflows = Workflows(
            self.database,
            application=f"polyphony-{name}",
            executor=self._leases.executor,
            perform=self._executor.perform,
        )
        self._executor.use(self.workflows)
        # Serve calls constructors on the replica's event loop.
        self._starting = asyncio.get_running_loop().create_task(self._start())
        self._periodic: list[asyncio.Task[None]] = []

    async def submit(self, submission: Submission) -> Job:
        """Accept a job, as JobRunner says, once this replica has started."""
        with self._named_errors():
            await self._started()
            return await self._executor.submit(submission)

    async def run(self, submission: Submission, timeout_s: float) -> Job:
        """Accept a job and wait for its end, as JobRunner says, once this replica has started."""
        with self._named_errors():
            await self._started()
            return await self._executor.run(submission, timeout_s=timeout_s)

    async def wait_until_ended(self, job_id: str) -> None:
        """Returns when the job has ended, whoever runs it; see PipelineDemand."""
        with self._named_errors():
            while not (await self.store.get(job_id)).is_final:
                await asyncio.sleep(LOOK_S)

    async def check_health(self) -> None:
        """Called by Serve, which replaces a replica whose start has failed."""
        if self._starting.done():
            self._starting.result()

    def periodic_tasks(self) -> list[tuple[PeriodicTask, float]]:
        """What this replica does again and again, and every how many seconds."""
        return [(self._leases.renew, RENEW_S), (self._executor.maintain, LOOK_S)]

    def _named_errors(self) -> AbstractContextManager[None]:
        """What leaves this replica is one of our errors, made here."""
        return unexpected_errors(repr(self._name), provider=self._name)

    async def _started(self) -> None:
        """Shielded: a caller who leaves meanwhile must not cancel it for all others. Where the
        database went away during the start, Serve replaces this replica.
        """
        with away_as_unavailable():
            await asyncio.shield(self._starting)

    async def _start(self) -> None:
        await self._leases.renew()
        self.workflows.launch()
        self._periodic = [
            asyncio.create_task(run_periodically(task, every_s=every_s))
            for task, every_s in self.periodic_tasks()
        ]


class MainJobsReplica(JobsReplica):
    """The `jobs` deployment. `render` writes a job for callbacks."""

    def __init__(
        self,
        config: AppConfig,
        name: str,
        families: Handles,
        *,
        pipelines: Mapping[str, DeploymentHandle[Any]],
        render: Callable[[AppConfig, FsspecBlobStore], Render],
    ) -> None:
        super().__init__(config, name, families)
        self._demand = PipelineDemand(self.store, pipelines)
        self._retention = JobRetention(self.store, self.workflows, config.jobs)
        self._usage = UsageRetention(self.database, config.usage)
        self._callbacks = Callbacks(
            self.database,
            render(config, self.blobs),
            settings=config.jobs,
            limits=config.limits,
            secret=os.environ.get("CALLBACK_SECRET"),
        )
        archive = Archive(self.database, self.blobs, config.archive)
        self._sweep = ArchiveSweep(archive, self.database, self.blobs)
        self._uploads = uploads_of(config, self.database, self.blobs.url)
        self._direct = DirectTable(self.database)

    async def record_direct(self, batch: Batch) -> frozenset[str]:
        """Write rows of direct jobs for the process that runs them, as DirectWriter says."""
        with self._named_errors():
            return await self._direct.write(batch)

    def periodic_tasks(self) -> list[tuple[PeriodicTask, float]]:
        """Those of every replica, and those of the whole server."""
        return [
            *super().periodic_tasks(),
            (self._demand.refresh, LOOK_S),
            (self._callbacks.deliver_due, CALLBACKS_S),
            (self._retention.sweep, INTERVAL_S),
            (self._usage.sweep, INTERVAL_S),
            (self._uploads.sweep, INTERVAL_S),
            (self._sweep.sweep_once, INTERVAL_S),
        ]
