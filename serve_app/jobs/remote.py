"""A JobRunner over the handles of the deployments that run jobs."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, cast

from ray.serve.handle import DeploymentHandle
from typing_extensions import override

from serve_app.core.config import JOBS, AppConfig
from serve_app.core.errors import AppError, BackendUnavailable
from serve_app.core.jobs import Job, JobRunner, Submission
from serve_app.jobs.direct_table import Batch, DirectTable, DirectWriter
from serve_app.jobs.queues import Queues
from serve_app.jobs.store import JobStore
from serve_app.remote.family import remote_errors
from serve_app.runtime.limits import LimitPassed, within

logger = logging.getLogger(__name__)

PAUSE_S = 0.5
RECORD_S = 5.0
"""How long `jobs` may take to record a batch."""


class RemoteJobs(JobRunner):
    """Hands jobs to the deployment that runs their operation; cancels through the table, which
    every deployment watches.
    """

    def __init__(
        self, config: AppConfig, store: JobStore, handles: Mapping[str, DeploymentHandle[Any]]
    ) -> None:
        self._queues = Queues(config)
        self._store = store
        self._handles = {
            name: handle.options(request_serialization="pickle") for name, handle in handles.items()
        }

    @override
    async def submit(self, submission: Submission) -> Job:
        """A submission whose deployment dies is handed in again."""
        name = self._queues.deployment_of(submission.operation)
        while True:
            try:
                with remote_errors(name):
                    return cast("Job", await self._handles[name].submit.remote(submission))
            except BackendUnavailable as error:
                await _outlived(error)

    @override
    async def run(self, submission: Submission, *, timeout_s: float) -> Job:
        """Who waits for a job keeps waiting when the process that runs it dies."""
        name = self._queues.deployment_of(submission.operation)
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        while True:
            try:
                with remote_errors(name):
                    left_s = max(0.1, end - loop.time())
                    return cast("Job", await self._handles[name].run.remote(submission, left_s))
            except BackendUnavailable as error:
                await _outlived(error)

    @override
    async def cancel(self, job_id: str) -> Job:
        return await self._store.request_cancel(job_id)

    @override
    async def finish(self, job_id: str) -> Job:
        return await self._store.early_ends.ask(job_id, "finish")

    @override
    async def skip(self, job_id: str) -> Job:
        return await self._store.early_ends.ask(job_id, "skip")


class RemoteDirectTable(DirectWriter):
    """Has direct jobs recorded by the deployment `jobs`. In a process whose event loop is busy a
    thread that writes waits for the interpreter again and again, and costs the loop ten times as
    much as it does elsewhere. Where that deployment does not answer, `table` writes.
    """

    def __init__(self, handle: DeploymentHandle[Any], table: DirectTable) -> None:
        self._handle = handle.options(method_name="record_direct", request_serialization="pickle")
        self._table = table

    @override
    async def write(self, batch: Batch) -> frozenset[str]:
        if not (batch.is_writing or batch.going_on):
            return frozenset()
        try:
            async with within(RECORD_S):
                with remote_errors(JOBS):
                    return cast("frozenset[str]", await self._handle.remote(batch))
        except (LimitPassed, AppError) as error:
            logger.warning("%r does not record direct jobs (%s); this process does", JOBS, error)
            return await self._table.write(batch)


async def _outlived(error: BackendUnavailable) -> None:
    """Wait for the replacement of a process that died; what is out of service stays so."""
    if error.retry_after_s is None:
        raise error
    await asyncio.sleep(PAUSE_S)
