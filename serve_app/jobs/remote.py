"""A JobRunner over the handles of the deployments that run jobs."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from ray.serve.handle import DeploymentHandle
from typing_extensions import override

from serve_app.core.config import AppConfig
from serve_app.core.errors import BackendUnavailable
from serve_app.core.jobs import Job, JobRunner, Submission
from serve_app.jobs.queues import Queues
from serve_app.jobs.store import JobStore
from serve_app.remote.family import remote_errors

PAUSE_S = 0.5


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


async def _outlived(error: BackendUnavailable) -> None:
    """Wait for the replacement of a process that died; what is out of service stays so."""
    if error.retry_after_s is None:
        raise error
    await asyncio.sleep(PAUSE_S)
