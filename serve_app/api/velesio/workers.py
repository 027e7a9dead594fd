"""What of the server works, in Velesio's words."""

from collections.abc import Mapping, Sequence
from typing import Literal

from serve_app.catalog.catalog import Catalog, CatalogEntry
from serve_app.core.status import LoadState, ModelStatus
from serve_app.core.tasks import TASKS, ModelType, Task

WorkerState = Literal["ready", "busy", "loading", "offline", "disabled"]
WorkerKind = Literal["llm", "sd", "video", "audio"]
KINDS: Mapping[ModelType, WorkerKind] = {
    "image": "sd",
    "video": "video",
    "audio": "audio",
    "tts": "audio",
}
"""All other models are of the kind `llm`."""
ON_THE_WAY: frozenset[LoadState] = frozenset({"downloading", "loading"})


def worker_state(catalog: Catalog, statuses: Mapping[str, ModelStatus], task: Task) -> WorkerState:
    """What the models of a task are together. One that is not in memory is loaded when it is
    needed, and so is as good as ready.
    """
    models = catalog.every(task)
    known = [statuses[found.id] for found in models if found.id in statuses]
    states = {status.state for status in known}
    if not models:
        return "disabled"
    if len(known) == len(models) and states == {"failed"}:
        return "offline"
    if any(status.requests for status in known):
        return "busy"
    return "loading" if states & ON_THE_WAY and "ready" not in states else "ready"


def worker_kind(found: CatalogEntry) -> WorkerKind:
    """The kind of a model."""
    kind = TASKS[found.family.options.task].type
    return KINDS.get(kind, "llm") if kind is not None else "llm"


def live_models(
    catalog: Catalog, statuses: Mapping[str, ModelStatus], named: Sequence[str]
) -> list[CatalogEntry]:
    """Those in memory, and those that are named: a job of theirs runs."""
    return [
        found
        for found in catalog.all()
        if found.id in named or (found.id in statuses and statuses[found.id].state == "ready")
    ]
