"""A finished job's files in the archive, before anybody hears that it is finished."""

from serve_app.archive.archive import Archive
from serve_app.archive.entries import Origin
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import AppConfig
from serve_app.core.images import Images, TextToImage
from serve_app.core.jobs import Job
from serve_app.core.operations import Operation, Result, SpokenSound, blobs_of, to_json
from serve_app.core.speech import Speak
from serve_app.core.stems import Stems
from serve_app.core.video_dub import DubbedVideo
from serve_app.database.connection import Database


class OutputArchive:
    """Enters what a job made. Doing it again for the same job changes nothing."""

    def __init__(self, config: AppConfig, database: Database, blobs: FsspecBlobStore) -> None:
        self._archive = Archive(database, blobs, config.archive)

    async def record(self, job: Job, result: Result) -> dict[str, str]:
        """The public names of the result's files, by hash; empty while the archive is off."""
        if isinstance(result, Images):
            return await self._record_images(job, result)
        if not isinstance(result, SpokenSound | Stems | DubbedVideo):
            return {}
        files = {}
        for position, blob in enumerate(blobs_of(result)):
            entry = await self._archive.record(blob, _origin(job, result), position=position)
            if entry is not None:
                files[blob.sha256] = entry.filename
        return files

    async def _record_images(self, job: Job, images: Images) -> dict[str, str]:
        files = {}
        for position, made in enumerate(images.images):
            values = {
                "seed": made.seed,
                "width": made.size.width,
                "height": made.size.height,
                "negative_prompt": getattr(job.operation, "negative_prompt", None),
            }
            origin = _origin(job, images).model_copy(update=values)
            entry = await self._archive.record(made.image, origin, position=position)
            if entry is not None:
                files[made.image.sha256] = entry.filename
        return files


def _origin(job: Job, result: Result) -> Origin:
    return Origin(
        owner=job.owner,
        operation=job.operation_name,
        model=job.model,
        prompt=_prompt(job.operation),
        parameters=to_json(job.operation),
        duration=getattr(result, "duration_s", None),
        tag=job.tag,
        job_id=job.id,
    )


def _prompt(operation: Operation) -> str | None:
    match operation:
        case Speak():
            return operation.text
        case TextToImage():
            return operation.prompt
    return None
