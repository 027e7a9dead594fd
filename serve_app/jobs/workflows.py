"""The steps of jobs as durable workflows on DBOS, in the same database as the jobs.

A job's workflow has the job's id. DBOS is one per process: so is `Workflows`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextvars import Context
from typing import Any, TypeVar

from dbos import (
    DBOS,
    DBOSConfig,
    DBOSPortableJSONSerializer,
    SetWorkflowID,
    WorkflowHandleAsync,
)
from dbos import error as dbos_error
from typing_extensions import override

from serve_app.core.stages import AnotherVersion
from serve_app.database.connection import Database
from serve_app.jobs.former_records import rewrite_pickles
from serve_app.jobs.recorded_steps import recorded_step
from serve_app.jobs.staging import Steps

T = TypeVar("T")
VERSION = "1"
"""Fixed, so that a new release goes on with the jobs of the one before; to be raised when the
steps of a pipeline change their meaning."""


class Workflows(Steps):
    """Satisfies Steps. `application` names the deployment: each resumes its own workflows only.
    `perform` is the body of every workflow.
    """

    def __init__(
        self,
        database: Database,
        *,
        application: str,
        executor: str,
        perform: Callable[[str], Awaitable[None]],
    ) -> None:
        logging.getLogger("dbos").setLevel(logging.ERROR)
        self._database = database
        config: DBOSConfig = {
            "name": application,
            "system_database_url": database.url,
            "executor_id": executor,
            # DBOS wants versions that differ between the applications of one database.
            "application_version": f"{application}-{VERSION}",
            "log_level": "ERROR",
            "sys_db_pool_size": 5,
            "serializer": DBOSPortableJSONSerializer(),
        }
        DBOS(config=config)

        async def run_job(job_id: str) -> None:
            await perform(job_id)

        self._run_job = DBOS.workflow(name="run_job")(run_job)

    def launch(self) -> None:
        """Make DBOS's tables and start its threads. Blocks for some hundredths of a second, and has
        to be called on the event loop that is to run the workflows: DBOS resumes them there.
        """
        DBOS.launch()

    @override
    async def start(self, job_id: str) -> None:
        """A workflow that another process began is handed to a living one, which takes about
        a second.

        In a context of its own: a job outlives the request that brought it, with which Serve would
        cancel every call of a handle made in the request's context.
        """
        await asyncio.create_task(self._start(job_id), context=Context())

    async def _start(self, job_id: str) -> None:
        with SetWorkflowID(job_id):
            handle = await DBOS.start_workflow_async(self._run_job, job_id)
        if not _runs_in_this_process(handle):
            await rewrite_pickles(self._database, job_id)
            await DBOS.resume_workflow_async(job_id)

    @override
    async def step(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        async def keep(recorded: Callable[[], Coroutine[Any, Any, str]]) -> str:
            try:
                return await DBOS.run_step_async({"name": name}, recorded)
            except dbos_error.DBOSUnexpectedStepError:
                raise AnotherVersion(name) from None

        return await recorded_step(name, work, keep)

    async def forget(self, job_ids: Iterable[str]) -> None:
        """Delete the records of finished jobs."""
        ids = list(job_ids)
        if ids:
            await DBOS.delete_workflows_async(ids)

    def close(self) -> None:
        """Stop the threads; running workflows go on elsewhere."""
        DBOS.destroy()


def _runs_in_this_process(handle: WorkflowHandleAsync[None]) -> bool:
    """DBOS answers a start of a known workflow with a handle that only looks at the database."""
    return "Polling" not in type(handle).__name__
