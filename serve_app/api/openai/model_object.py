"""Models in OpenAI's list, with what this server adds."""

from collections.abc import Mapping
from typing import Any

from serve_app.catalog.catalog import Catalog, CatalogEntry
from serve_app.catalog.video_facts import every_video_facts
from serve_app.core.config import UPSTREAMS
from serve_app.core.status import ModelStatus
from serve_app.core.tasks import TASKS
from serve_app.core.video.generation import VideoFacts

INTERNAL = {
    "id",
    "context_length",
    "video",
    "translation",
    "memory_mb",
    "requests",
    "last_used",
    "loads",
}
"""What a model's state says elsewhere, or to administrators only."""


async def model_entries(
    catalog: Catalog, statuses: Mapping[str, ModelStatus]
) -> list[dict[str, Any]]:
    """Those that requests can name, in the order of the configuration."""
    videos = await every_video_facts(catalog, statuses)
    return [
        model_object(found, statuses.get(found.id), videos.get(found.id))
        for found in catalog.all()
        if TASKS[found.family.options.task].type is not None
    ]


def upstream_entries(catalog: Catalog) -> list[dict[str, Any]]:
    """Routes, and what providers list; nothing of it is loaded or will be."""
    return [model_object(found, None, None) for found in catalog.elsewhere()]


def model_object(
    found: CatalogEntry, status: ModelStatus | None, video: VideoFacts | None
) -> dict[str, Any]:
    """A catalog entry. `status` is an extension: where the model is on its way to memory."""
    task, model = found.family.options.task, found.model
    row = TASKS[task]
    fine = dict.fromkeys((*row.capabilities, *model.capabilities))
    is_vision = task == "chat" and "image_to_text" in fine
    entry: dict[str, Any] = {
        "id": model.id,
        "object": "model",
        "created": model.created or 0,
        "owned_by": model.owned_by,
        "capabilities": [*filter(None, [row.coarse]), *fine],
        "supports_streaming": row.streams and model.supports_streaming,
        "type": "vision" if is_vision else row.type,
        "loaded": status is not None and status.state == "ready",
        "backend": found.family.options.engine,
        "status": status_object(status),
    }
    if found.family.name == UPSTREAMS:
        entry |= {"loaded": True, "status": {"state": "ready"}}
    if task == "transcription" and model.languages:
        entry["languages"] = list(model.languages)
    if status is not None and status.context_length is not None:
        entry["context_length"] = status.context_length
    if video is not None:
        entry["video"] = video.model_dump()
    if status is not None and status.translation is not None:
        entry["translation"] = status.translation.model_dump()
    if model.packaged is not None:
        entry |= {"licence": model.packaged.licence, "origin": model.packaged.origin}
    if model.aliases:
        entry["alias"] = model.aliases[0]
        entry["aliases"] = list(model.aliases)
    return entry


def status_object(status: ModelStatus | None) -> dict[str, Any]:
    """The state, and what is known of a download or a failure."""
    if status is None:
        return {"state": "unloaded"}
    value = status.model_dump(exclude_none=True, exclude=INTERNAL)
    if status.bytes_total:
        value["percent"] = round(100 * (status.bytes_done or 0) / status.bytes_total, 1)
    return value


def auto_entry(entries: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The routing alias over all speech recognition models, None without one."""
    transcribing = [entry for entry in entries if "asr" in entry["capabilities"]]
    if not transcribing:
        return None
    return {
        "id": "auto",
        "object": "model",
        "created": min(entry["created"] for entry in transcribing),
        "owned_by": "polyphony",
        "capabilities": ["asr", "speech_to_text"],
        "supports_streaming": all(entry["supports_streaming"] for entry in transcribing),
        "type": "audio",
        "is_routing_alias": True,
    }
