"""How a job is asked for after it was queued."""

from collections.abc import Collection
from typing import Any, ClassVar

from fastapi import APIRouter
from fastapi.responses import Response
from starlette.routing import BaseRoute

from serve_app.api.ai_server.arguments import Arguments
from serve_app.api.ai_server.artifact_links import ServiceOutput, base_of
from serve_app.api.ai_server.calls import service_response
from serve_app.api.ai_server.job_objects import job_error, status_object_of
from serve_app.api.ai_server.operation_route import Done, operation_routes
from serve_app.api.ai_server.results import duration_of, file_objects, text_objects
from serve_app.api.ai_server.scalars import Whole
from serve_app.api.ai_server.service_body import ServiceBody, bound
from serve_app.api.ai_server.service_error import ERRORS, not_found, status_object
from serve_app.api.ai_server.table import ARTIFACT_STATUS, TEXT_STATUS
from serve_app.api.call import Call, CallDep
from serve_app.api.caller_jobs import find_job
from serve_app.core.audio.audio_processing import ProcessAudio
from serve_app.core.audio.speech import Speak
from serve_app.core.audio.transcription import Transcribe
from serve_app.core.errors import Conflict, NotFound
from serve_app.core.image.captioning import DescribeImage
from serve_app.core.image.image_processing import ProcessImage
from serve_app.core.image.images import ImageGeneration, ImageToImage, Inpaint, TextToImage
from serve_app.core.image.upscaling import UpscaleImage
from serve_app.core.jobs import Job
from serve_app.core.operation import Operation
from serve_app.core.operations import Unreadable
from serve_app.core.video.video_processing import ProcessVideo

ARTIFACT_KINDS: tuple[type[Operation[Any]], ...] = (
    *(TextToImage, ImageToImage, Inpaint, UpscaleImage, Speak),
    *(ProcessImage, ProcessVideo, ProcessAudio),
)
TEXT_KINDS: tuple[type[Operation[Any]], ...] = (DescribeImage, Transcribe)
ARTIFACTS = frozenset(kind.name for kind in ARTIFACT_KINDS)
TEXTS = frozenset(kind.name for kind in TEXT_KINDS)
TAG = "jobs"
router = APIRouter(tags=[TAG], responses=ERRORS)


class JobFields(ServiceBody):
    """The names of a job: `job_id` or `id`, 0 for none, and `ref_id`."""

    names: ClassVar = {"job_id": ("id",)}

    job_id: Whole | None = None


async def asked_job(
    call: Call, fields: JobFields, kinds: Collection[str], *, ref_first: bool = False
) -> Job:
    """The job of one of these operations. ServiceError for one that is not there, or another
    owner's.
    """
    number = str(fields.job_id) if fields.job_id else None
    ref = fields.ref_id if _is_ref(fields.ref_id) else None
    name = (ref or number) if ref_first else (number or ref)
    if name is not None:
        try:
            job = await find_job(call, name)
        except (NotFound, Conflict):
            raise not_found("Job") from None
        if job.operation_name in kinds:
            return job
    raise not_found("Job")


def _is_ref(ref_id: str | None) -> bool:
    """Whether it can be a name: numbers are those of other jobs."""
    return bool(ref_id) and not str(ref_id).isdigit()


async def artifact_status(call: Call, arguments: Arguments) -> Done:
    """GetArtifactGenerationStatus."""
    return await _status(call, arguments, ARTIFACTS)


async def text_status(call: Call, arguments: Arguments) -> Done:
    """GetTextGenerationStatus."""
    return await _status(call, arguments, TEXTS)


async def _status(call: Call, arguments: Arguments, kinds: Collection[str]) -> Done:
    job = await asked_job(call, bound(JobFields, arguments), kinds)
    base = base_of(call.request, call.context)
    return await status_object_of(job, call.dialect, base), job.id


async def generation(call: Call, arguments: Arguments) -> Done:
    """GetGeneration."""
    job = await asked_job(call, bound(JobFields, arguments), ARTIFACTS | TEXTS)
    return generation_object(call, job), job.id


def generation_object(call: Call, job: Job) -> dict[str, Any]:
    """GetGenerationResponse. ServiceError 404 before the job has ended."""
    if not job.is_final:
        raise not_found("Generation")
    output = ServiceOutput.of(job, call.dialect.name)
    root = base_of(call.request, call.context)
    files = [
        {name: each[name] for name in ("fileName", "url")}
        for each in file_objects(job, output, root)
    ]
    made: dict[str, Any] = {"outputs": files, "textOutputs": text_objects(job)}
    error = {}
    if job.status != "succeeded":
        error = {"error": status_object(job_error(job, call.dialect))}
    request = {} if isinstance(job.operation, Unreadable) else request_object(job.operation)
    return {"request": request, "result": made | duration_of(job) | error} | made


def request_object(operation: Operation[Any]) -> dict[str, Any]:
    """What was asked for, as far as this dialect has words for it."""
    found: dict[str, Any] = {"model": operation.model_name}
    if isinstance(operation, ImageGeneration):
        size = operation.size
        found |= {
            "positivePrompt": operation.prompt,
            "negativePrompt": operation.negative_prompt,
            "seed": operation.seed,
            "batchSize": operation.count,
            "width": size and size.width,
            "height": size and size.height,
            "denoise": getattr(operation, "strength", None),
        }
    if isinstance(operation, Speak):
        found |= {"positivePrompt": operation.text, "seed": operation.seed}
    return {name: value for name, value in found.items() if value is not None}


@router.get("/generation/ref/{ref_id}")
async def generation_by_ref(ref_id: str, call: CallDep) -> Response:
    """Read a generation that has ended, by the name that its caller gave it."""
    job = await asked_job(call, JobFields(ref_id=ref_id), ARTIFACTS | TEXTS)
    return service_response(generation_object(call, job), job.id)


@router.get("/generation/{id}")
async def generation_by_id(id: str, call: CallDep) -> Response:
    """Read a generation that has ended, by its number."""
    number = id if id.isascii() and id.isdigit() and len(id) < 19 else "0"
    job = await asked_job(call, JobFields(job_id=int(number)), ARTIFACTS | TEXTS)
    return service_response(generation_object(call, job), job.id)


ROUTES: list[BaseRoute] = [
    *operation_routes(
        ARTIFACT_STATUS,
        artifact_status,
        does="Read the state of a job that makes files, and its files.",
        tag=TAG,
    ),
    *operation_routes(
        TEXT_STATUS,
        text_status,
        does="Read the state of a job that makes texts, and its texts.",
        tag=TAG,
    ),
    *operation_routes("GetGeneration", generation, does="Read what a job has made.", tag=TAG),
    *router.routes,
]
