"""Enters a job's files in the archive before the job counts as finished."""

import asyncio
import logging
from typing import Any

from serve_app.archive.archive import ILLUSTRATED, Archive
from serve_app.archive.entries import Entry, Origin
from serve_app.blobs.sniff import kind_of
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.speech import CloneSpeech, Speak
from serve_app.core.config import AppConfig
from serve_app.core.errors import AppError
from serve_app.core.jobs import Job
from serve_app.core.media import MediaFacts, MediaResult
from serve_app.core.message import Message
from serve_app.core.operation import Operation
from serve_app.core.operations import Unreadable, blobs_of, to_json
from serve_app.database.connection import Database

logger = logging.getLogger(__name__)

UNCHOSEN = frozenset(
    {"max_pixels", "can_end_early", "leaves_out", "embedded_texts", "preview_every_s"}
    | {"sampling_names", "keeps_latents"}
)
"""Fields that the server's settings decide, or how the caller is answered."""


class OutputArchive:
    """Enters what a job made. Doing it again for the same job changes nothing. Previews are made
    afterwards, one at a time; those that a kill prevents, by the next sweep.
    """

    def __init__(self, config: AppConfig, database: Database, blobs: FsspecBlobStore) -> None:
        self._archive = Archive(database, blobs, config.archive)
        self._previews = asyncio.Semaphore(1)
        self._making: set[asyncio.Task[None]] = set()

    async def record(self, job: Job, result: Message) -> dict[str, str]:
        """The public names of the result's files, by hash; empty while the archive is off."""
        if not isinstance(result, MediaResult):
            return {}
        files, facts = {}, result.facts()
        # A file that is in the result twice is one file; texts live as long as their job.
        media = [blob for blob in dict.fromkeys(blobs_of(result)) if kind_of(blob.mime)]
        for position, blob in enumerate(media):
            origin = _origin(job, facts.get(blob.sha256, MediaFacts()))
            entry = await self._archive.record(blob, origin, position=position)
            if entry is not None:
                files[blob.sha256] = entry.filename
                self._illustrate_soon(entry)
        return files

    def _illustrate_soon(self, entry: Entry) -> None:
        if entry.type in ILLUSTRATED and entry.preview is None:
            task = asyncio.create_task(self._illustrate(entry.filename))
            # The loop itself keeps no task alive.
            self._making.add(task)
            task.add_done_callback(self._making.discard)

    async def _illustrate(self, filename: str) -> None:
        async with self._previews:
            try:
                await self._archive.illustrate(filename)
            except AppError as error:
                logger.warning("no preview of %s yet: %s", filename, error)


def _origin(job: Job, facts: MediaFacts) -> Origin:
    assert not isinstance(job.operation, Unreadable), "it was done"
    return Origin(
        owner=job.owner,
        operation=job.operation_name,
        model=job.model,
        prompt=_prompt(job.operation),
        negative_prompt=getattr(job.operation, "negative_prompt", None),
        parameters=chosen_parameters(job.operation),
        seed=facts.seed,
        width=facts.width,
        height=facts.height,
        duration=facts.duration_s,
        tag=job.tag,
        job_id=job.id,
    )


def chosen_parameters(operation: Operation[Any]) -> dict[str, Any]:
    """The operation without what callers do not choose."""
    return {name: value for name, value in to_json(operation).items() if name not in UNCHOSEN}


def _prompt(operation: Operation[Any]) -> str | None:
    if isinstance(operation, Speak | CloneSpeech):
        return operation.text
    return getattr(operation, "prompt", None)
