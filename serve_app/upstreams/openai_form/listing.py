"""What a provider lists, and what each of its models is for."""

from typing import Any, cast

from serve_app.core.tasks import TASKS, Task
from serve_app.core.upstreams.exchange import UpstreamListing
from serve_app.upstreams.openai_form.exchange import Object, OpenAIExchange

TASKS_BY_WORD: tuple[tuple[Task, tuple[str, ...]], ...] = (
    ("rerank", ("rerank",)),
    ("embeddings", ("embed", "bge-", "e5-", "gte-", "minilm")),
    ("transcription", ("whisper", "transcribe", "parakeet", "-asr")),
    ("speech", ("tts", "kokoro", "speech", "orpheus")),
    ("images", ("dall-e", "image", "imagen", "flux", "stable-diffusion", "sdxl")),
    ("video", ("sora", "veo-", "video")),
)
"""By words in a model's id, for providers that tell nothing else."""
KINDS = {
    **{str(row.type): task for task, row in TASKS.items() if row.is_upstream},
    **dict.fromkeys(("language", "vision"), "chat"),
}
"""By the type that some providers tell, Vercel's and our own."""
VISION = "image_to_text"
SEES = ("gpt-4o", "gpt-4.1", "gpt-5", "gemini", "claude", "pixtral", "-vl", "vision", "llava")


async def listed_models(exchange: OpenAIExchange) -> tuple[UpstreamListing, ...]:
    """Those that can be asked for anything; a routing alias is no model."""
    answer = await exchange.get("models")
    data = answer.get("data")
    if not isinstance(data, list):
        raise exchange.unreadable("has no list of models")
    found = [_listing(entry) for entry in data if isinstance(entry, dict)]
    by_id = {each.id: each for each in found if each is not None}
    return tuple(by_id.values())


def _listing(entry: Object) -> UpstreamListing | None:
    id = entry.get("id")
    if not isinstance(id, str) or not id or entry.get("is_routing_alias"):
        return None
    id = id.removeprefix("models/")
    task = _task(entry, id.lower())
    if task == "video" and TASKS["video"].capabilities[0] in _texts(entry.get("capabilities")):
        # Another server like this one, whose videos have no request of OpenAI's form.
        return None
    created = entry.get("created")
    return UpstreamListing(
        id=id,
        task=task,
        capabilities=(VISION,) if task == "chat" and _sees(entry, id.lower()) else (),
        created=float(created) if isinstance(created, int | float) else None,
    )


def _task(entry: Object, id: str) -> Task:
    capabilities = _texts(entry.get("capabilities"))
    for task, row in TASKS.items():
        if row.is_upstream and row.capabilities[0] in capabilities:
            return task
    kind = entry.get("type")
    if isinstance(kind, str) and kind in KINDS:
        return cast("Task", KINDS[kind])
    if _texts(_architecture(entry).get("output_modalities")) == ["image"]:
        return "images"
    for each, words in TASKS_BY_WORD:
        if any(word in id for word in words):
            return each
    return "chat"


def _sees(entry: Object, id: str) -> bool:
    inputs = _texts(_architecture(entry).get("input_modalities"))
    told = [*inputs, *_texts(entry.get("capabilities")), *_texts(entry.get("tags"))]
    return any(word in told for word in ("image", VISION, "vision")) or (
        not inputs and any(word in id for word in SEES)
    )


def _architecture(entry: Object) -> Object:
    """OpenRouter's."""
    found = entry.get("architecture")
    return found if isinstance(found, dict) else {}


def _texts(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
