"""Jobs as this dialect tells them: in the answer of a queue, as a status and in a callback."""

from typing import Any

from serve_app.api.ai_server.artifact_links import ServiceOutput
from serve_app.api.ai_server.results import duration_of, file_objects, text_objects, warnings_of
from serve_app.api.ai_server.service_error import ServiceError, message_of, status_object
from serve_app.api.answers import PlainText
from serve_app.api.caller_jobs import failure
from serve_app.api.dialect import Dialect
from serve_app.api.served_files import ServedFiles
from serve_app.core.errors import AppError, InternalError, InvalidRequest
from serve_app.core.image.processing_steps import CropStep, ScaleStep, WatermarkStep
from serve_app.core.jobs import Job, JobStatus
from serve_app.core.media import MediaResult
from serve_app.core.text.chat import Chat, CollectedText
from serve_app.core.video.video_processing import TrimStep

STATES: dict[JobStatus, str] = {
    "queued": "Queued",
    "running": "Started",
    "succeeded": "Completed",
    "failed": "Failed",
    "cancelled": "Cancelled",
}
NO_IMAGES = "No generated images were returned"
FAILED = "Exception"
OUTPUT_FORMATS = {"image.process": "Image", "video.process": "Video", "audio.process": "Audio"}


def job_names(job: Job) -> dict[str, Any]:
    """`jobId`, `refId` and `jobState`."""
    ref = {} if job.ref_id is None else {"refId": job.ref_id}
    return {"jobId": job.number} | ref | {"jobState": STATES[job.status]}


def queue_object(job: Job, base: str, status: str) -> dict[str, Any]:
    """QueueGenerationResponse."""
    return job_names(job) | {"statusUrl": status_url(base, status, job.ref_id)}


def status_url(base: str, status: str, ref_id: str | None) -> str:
    """Where a job is asked for."""
    return f"{base}/api/{status}?RefId={ref_id or ''}"


def progress_text(job: Job) -> dict[str, str]:
    """`status`, of a job that is under way."""
    progress = job.progress
    if job.status != "running" or progress.phase is None:
        return {}
    share = "" if progress.percent is None else f" {progress.percent:.0f}%"
    return {"status": f"{progress.phase}{share}"}


def job_error(job: Job, dialect: Dialect) -> AppError:
    """Why a job has no result, as its caller is told who waits for it."""
    if job.status == "cancelled":
        return ServiceError("Job was cancelled", error_code=FAILED, answered=500, job_id=job.id)
    error = _step_error(job) or failure(job, dialect) or InternalError("there is no result")
    error.job_id = job.id
    return error


def failed_error(job: Job, dialect: Dialect) -> ServiceError:
    """The same for who asks later: always 500, with the names of the job."""
    error = job_error(job, dialect)
    text = message_of(error)
    if job.status == "failed" and not text.startswith("Job failed"):
        text = f"Job failed: {text}"
    beside = job_names(job)
    return ServiceError(text, error_code=FAILED, answered=500, job_id=job.id, beside=beside)


def _step_error(job: Job) -> AppError | None:
    """What is wrong with a step of media processing, which callers of this dialect know as one
    operation.
    """
    reason = job.failure
    if reason is None or (reason.param or "").partition("[")[0].lower() != "steps":
        return None
    if job.operation_name not in OUTPUT_FORMATS:
        return None
    if not isinstance(reason.error(), InvalidRequest):
        return reason.error().about(None)
    assert reason.param is not None
    number = reason.param.partition("[")[2].partition("]")[0]
    steps = getattr(job.operation, "steps", ())
    step = steps[int(number)] if number.isdigit() and int(number) < len(steps) else None
    match step:
        case CropStep():
            return ServiceError("Invalid crop dimensions")
        case ScaleStep():
            return ServiceError("Invalid scale dimensions")
        case WatermarkStep():
            return ServiceError(f"the watermark cannot be used: {reason.error().message}")
        case TrimStep():
            return ServiceError(f"the times cannot be used: {reason.error().message}")
    return ServiceError(reason.error().message)


async def status_object_of(job: Job, dialect: Dialect, base: str) -> dict[str, Any]:
    """GetArtifactGenerationStatusResponse and GetTextGenerationStatusResponse. ServiceError for a
    job that has not ended well.
    """
    if job.status in ("failed", "cancelled"):
        raise failed_error(job, dialect)
    status = job_names(job) | progress_text(job)
    if job.status != "succeeded":
        return status
    output = ServiceOutput.of(job, dialect.name)
    results: list[Any] = [*file_objects(job, output, base)] or text_objects(job)
    warnings = warnings_of(
        job.result, output.notices, lambda notices: dialect.told(notices, job.operation_name)
    )
    return status | {"results": results} | duration_of(job) | warnings


async def callback_object(job: Job, dialect: Dialect, files: ServedFiles) -> dict[str, Any]:
    """The body of the one request that tells of a job's end."""
    output = ServiceOutput.of(job, dialect.name)
    names: dict[str, Any] = {} if output.state is None else {"state": output.state}
    names |= {} if job.ref_id is None else {"refId": job.ref_id}
    if job.status != "succeeded":
        return names | {"responseStatus": status_object(failed_error(job, dialect))}
    if job.operation_name == Chat.name or isinstance(job.result, CollectedText):
        body = await dialect.body(job, files)
        return {} if body is None or isinstance(body, PlainText) else body
    outputs = [
        {name: each[name] for name in ("fileName", "url")} | _output_format(job)
        for each in file_objects(job, output, files.root)
    ]
    if not outputs and isinstance(job.result, MediaResult):
        error = ServiceError(NO_IMAGES, error_code=FAILED)
        return names | {"responseStatus": status_object(error)}
    texts = text_objects(job)
    return (
        names
        | ({"outputs": outputs} if outputs else {})
        | ({"textOutputs": texts} if texts else {})
    )


def _output_format(job: Job) -> dict[str, str]:
    name = OUTPUT_FORMATS.get(job.operation_name)
    return {} if name is None else {"outputFormat": name}
