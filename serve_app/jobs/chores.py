"""What has to be done again and again, and goes on when it fails once."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ray.serve.handle import DeploymentHandle

from serve_app.core.errors import AppError
from serve_app.core.settings import RETENTION_S, Jobs
from serve_app.jobs.store import JobStore
from serve_app.jobs.workflows import Workflows
from serve_app.runtime.unexpected import unexpected_errors

logger = logging.getLogger(__name__)

ATTENDED = 64
"""How many of a pipeline's jobs are attended at once; more would not make it wider."""


Chore = Callable[[], Awaitable[object]]


async def repeat(chore: Chore, *, every_s: float) -> None:
    """Do the chore at once and then every so often, until cancelled, whatever it raises."""
    while True:
        try:
            with unexpected_errors("a chore of the jobs"):
                await chore()
        except AppError as error:
            logger.warning(
                "a periodic task of the jobs failed and is tried again: %s", error.message
            )
        await asyncio.sleep(every_s)


class Attention:
    """Holds a request open to a pipeline's deployment for every unfinished job of its queue, so
    that Serve starts replicas for jobs that wait, and stops none that works.
    """

    def __init__(self, store: JobStore, pipelines: Mapping[str, DeploymentHandle[Any]]) -> None:
        self._store = store
        self._pipelines = pipelines
        self._attended: dict[str, asyncio.Task[None]] = {}

    async def look(self) -> None:
        """Attend to what is not attended yet."""
        for name, handle in self._pipelines.items():
            for job_id in await self._store.unfinished(name, limit=ATTENDED):
                if job_id not in self._attended:
                    task = asyncio.create_task(self._attend(job_id, handle))
                    self._attended[job_id] = task

    async def _attend(self, job_id: str, handle: DeploymentHandle[Any]) -> None:
        try:
            await handle.attend.remote(job_id)
        except Exception as error:
            logger.info("the replica that ran job %s is gone: %s", job_id, error)
        finally:
            del self._attended[job_id]


class JobRetention:
    """Deletes finished jobs when they are too old."""

    def __init__(self, store: JobStore, workflows: Workflows, settings: Jobs) -> None:
        self._store = store
        self._workflows = workflows
        self._kept_s = RETENTION_S[settings.retention]

    async def sweep(self) -> None:
        """Everything that is due."""
        if self._kept_s is None:
            return
        while ids := await self._store.forget_finished(time.time() - self._kept_s):
            await self._workflows.forget(ids)
