"""A job as the native dialect shows it, and a result as the body of the call that asked for it."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, TypeVar

from fastapi.responses import Response

from serve_app.api.context import Context
from serve_app.api.errors import render_native
from serve_app.api.json_answer import json_pieces, json_response
from serve_app.api.v1.audio.transcription_response import transcript_body
from serve_app.api.v1.jobs.media_rendering import MediaRendering
from serve_app.api.v1.text.chat_response import chat_completion
from serve_app.api.v1.text.completion_response import text_completion
from serve_app.api.v1.text.embedding_response import embedding_list
from serve_app.api.v1.text.rerank_response import rerank_result
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.transcription import Transcribe, Transcript
from serve_app.core.config import AppConfig
from serve_app.core.image.captioning import ImageDescription
from serve_app.core.jobs import Job
from serve_app.core.media import MediaResult
from serve_app.core.operations import Result, SaidText
from serve_app.core.text.chat import Chat, Complete
from serve_app.core.text.embeddings import Embed, Embeddings
from serve_app.core.text.rerank import Relevance, Rerank
from serve_app.core.text.translation import Translation

T = TypeVar("T")
ITEMS_PER_TURN = 100
"""Of what was said, after which other requests have their turn."""


class JobRendering:
    """Writes jobs; `AppConfig` and the blob store are all that it takes, in any process."""

    def __init__(self, config: AppConfig, blobs: FsspecBlobStore) -> None:
        self._root = config.server.public_url or ""
        self._media = MediaRendering(self._root, blobs)

    async def __call__(self, job: Job) -> dict[str, Any]:
        """The Job object."""
        url = self.job_url(job.id)
        result = None if job.result is None else await self.body(job, job.result)
        error = job.failure.error() if job.failure else None
        return {
            "id": job.id,
            "object": "job",
            "number": job.number,
            "operation": job.operation_name,
            "status": job.status,
            "created_at": int(job.created_at),
            "started_at": _second(job.started_at),
            "finished_at": _second(job.finished_at),
            "model": job.model,
            "owner": job.owner,
            "tag": job.tag,
            "ref_id": job.ref_id,
            "queue_position": job.position,
            "progress": progress_object(job),
            "stages": [stage.model_dump(exclude_none=True) for stage in job.stages],
            "warnings": [warning.text for warning in job.warnings],
            "result": result,
            "error": render_native(error)["error"] if error else None,
            "url": url,
            "events_url": f"{url}/events",
            "cancel_url": f"{url}/cancel",
        }

    def job_url(self, job_id: str) -> str:
        """Absolute when the server knows its public address."""
        return f"{self._root}/v1/jobs/{job_id}"

    @staticmethod
    def elapsed_s(job: Job) -> float:
        """Seconds since the job was started; 0 while it waits."""
        return 0.0 if job.started_at is None else time.time() - job.started_at

    async def response(self, job: Job, result: Result, headers: Mapping[str, str]) -> Response:
        """The answer of a call that waited."""
        body = await self.body(job, result)
        if isinstance(body, str):
            mime = "text/vtt" if job.output.get("response_format") == "vtt" else "text/plain"
            return Response(
                body.encode(), headers={"Content-Type": f"{mime}; charset=utf-8"} | dict(headers)
            )
        return json_response(body, headers)

    async def pieces(self, job: Job) -> AsyncGenerator[bytes]:
        """The Job object as JSON, in pieces."""
        async for piece in json_pieces(await self(job)):
            yield piece

    async def body(self, job: Job, result: Result) -> dict[str, Any] | str:
        """The synchronous body. It is the same whenever it is asked for."""
        match job.operation, result:
            case Chat() as chat, SaidText():
                answer = await chat_completion(
                    _again(result.events),
                    model=chat.model,
                    n=chat.sampling.n,
                    has_logprobs=chat.sampling.logprobs is not None,
                )
                return answer | _identity("chatcmpl", job)
            case Complete() as complete, SaidText():
                count = len(complete.prompts) * complete.sampling.n
                text = text_completion(list(result.events), model=complete.model, count=count)
                return text | _identity("cmpl", job)
            case Embed() as embed, Embeddings():
                return embedding_list(result, embed.model, **job.output)
            case Rerank() as rerank, Relevance():
                return rerank_result(result, rerank, **job.output)
            case Transcribe() as transcribe, Transcript():
                return await asyncio.to_thread(
                    transcript_body,
                    result,
                    response_format=job.output.get("response_format", "json"),
                    task=transcribe.task,
                    granularity=job.output.get("segment_granularity"),
                )
            case _, ImageDescription() | Translation():
                return result.model_dump(exclude_defaults=True)
            case _, MediaResult():
                return await self._media.body(job, result)
        raise TypeError(f"{job.operation_name} cannot have a {type(result).__name__}")


def rendering(context: Context) -> JobRendering:
    """That of a server."""
    return JobRendering(context.config, context.blobs)


def progress_object(job: Job) -> dict[str, Any]:
    """How far a job is."""
    progress = job.progress
    return {
        "current": progress.current,
        "total": progress.total,
        "percent": progress.percent,
        "phase": progress.phase,
        "it_per_s": None if progress.per_second is None else round(progress.per_second, 3),
        "eta_seconds": None if progress.eta_s is None else round(progress.eta_s, 1),
    }


def _second(value: float | None) -> int | None:
    return None if value is None else int(value)


def _identity(prefix: str, job: Job) -> dict[str, Any]:
    return {
        "id": f"{prefix}-{job.id.removeprefix('job-')}",
        "created": int(job.finished_at or job.created_at),
    }


async def _again(items: tuple[T, ...]) -> AsyncIterator[T]:
    for position, item in enumerate(items, start=1):
        yield item
        if position % ITEMS_PER_TURN == 0:
            await asyncio.sleep(0)
