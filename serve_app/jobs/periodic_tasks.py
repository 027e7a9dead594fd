"""Periodic tasks of the jobs deployment, which continue after a failure."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ray.serve.handle import DeploymentHandle

from serve_app.core.errors import AppError
from serve_app.core.settings import RETENTION_S, Jobs
from serve_app.jobs.direct_table import DirectTable
from serve_app.jobs.store import JobStore
from serve_app.jobs.workflows import Workflows
from serve_app.runtime.unexpected import unexpected_errors

logger = logging.getLogger(__name__)

MOST_SIGNALLED = 64
"""How many of a pipeline's jobs are signalled at once; more would not make it wider."""


PeriodicTask = Callable[[], Awaitable[object]]


async def run_periodically(task: PeriodicTask, *, every_s: float) -> None:
    """Do the task at once and then every so often, until cancelled, whatever it raises."""
    while True:
        try:
            with unexpected_errors("a periodic task of the jobs"):
                await task()
        except AppError as error:
            logger.warning(
                "a periodic task of the jobs failed and is tried again: %s", error.message
            )
        await asyncio.sleep(every_s)


class PipelineDemand:
    """Holds a request open to a pipeline's deployment for every unfinished job of its queue, so
    that Serve starts replicas for jobs that wait, and stops none that works.
    """

    def __init__(self, store: JobStore, pipelines: Mapping[str, DeploymentHandle[Any]]) -> None:
        self._store = store
        self._pipelines = pipelines
        self._signalled: dict[str, asyncio.Task[None]] = {}

    async def refresh(self) -> None:
        """Open the requests that are not open yet."""
        unfinished = await self._store.unfinished(self._pipelines.keys(), limit=MOST_SIGNALLED)
        for name, job_ids in unfinished.items():
            for job_id in job_ids:
                if job_id not in self._signalled:
                    task = asyncio.create_task(self._signal(job_id, self._pipelines[name]))
                    self._signalled[job_id] = task

    async def _signal(self, job_id: str, handle: DeploymentHandle[Any]) -> None:
        try:
            await handle.wait_until_ended.remote(job_id)
        except Exception as error:
            logger.info("the replica that ran job %s is gone: %s", job_id, error)
        finally:
            del self._signalled[job_id]


class JobRetention:
    """Deletes finished jobs when they are too old."""

    def __init__(self, store: JobStore, workflows: Workflows, settings: Jobs) -> None:
        self._store = store
        self._workflows = workflows
        self._direct = DirectTable(store.database)
        self._kept_s = RETENTION_S[settings.retention]

    async def sweep(self) -> None:
        """Everything that is due."""
        if self._kept_s is None:
            return
        before = time.time() - self._kept_s
        while ids := await self._store.forget_finished(before):
            await self._workflows.forget(ids)
        while await self._direct.forget_before(before):
            pass
