"""Jobs that another version of the server has accepted."""

from serve_app.core.errors import InternalError
from serve_app.core.jobs import Job, failure_of
from serve_app.jobs.store import JobReport, JobStore

UNREADABLE_JOB = InternalError(
    "the job was accepted by another version of this server and cannot be read",
    remedy="send it again",
)


async def fail_unreadable(store: JobStore, job: Job, executor: str) -> None:
    """The end of one."""
    await store.finish(
        job.id,
        executor,
        "failed",
        report=JobReport(job.progress, job.stages, job.warnings),
        failure=failure_of(UNREADABLE_JOB),
    )
