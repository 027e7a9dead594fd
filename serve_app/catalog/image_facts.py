"""What an image model can run, also before it is loaded."""

import asyncio
from pathlib import Path
from typing import get_args
from weakref import WeakKeyDictionary

from serve_app.catalog.catalog import Catalog, CatalogEntry
from serve_app.core.config import Model
from serve_app.core.image.samplers import FLOW, ImageFacts, Sampler, Schedule
from serve_app.core.options.image import DiffusersOptions
from serve_app.family.model_configuration import known_configurations

SCHEDULER = "scheduler/scheduler_config.json"
SAMPLERS: tuple[Sampler, ...] = get_args(Sampler)
EVERY = ImageFacts(
    samplers=SAMPLERS,
    schedules=get_args(Schedule),
    weighs_words=True,
    resizes_latents=True,
)
"""What an engine for images can run with the models that most know."""
TOLD: WeakKeyDictionary[Catalog, dict[str, ImageFacts]] = WeakKeyDictionary()
"""What models have told, by their ids. It does not change, and to ask takes several calls."""


async def image_facts(catalog: Catalog, found: CatalogEntry) -> ImageFacts:
    """The model's own once it was loaded; until then what follows from its scheduler, where that
    is on this machine; else what its engine can at most.
    """
    told = TOLD.setdefault(catalog, {})
    if found.id in told:
        return told[found.id]
    status = (await catalog.statuses()).get(found.id)
    if status is not None and status.image_facts is not None:
        told[found.id] = status.image_facts
        return status.image_facts
    if not isinstance(found.family.options, DiffusersOptions) or found.model.place is None:
        return EVERY
    data_dir = catalog.config.storage.data_dir
    return await asyncio.to_thread(_read, found.model, found.model.place, data_dir)


def _read(model: Model, source: str, data_dir: Path) -> ImageFacts:
    files = known_configurations(source, (SCHEDULER,), revision=model.revision, data_dir=data_dir)
    name = str(files.get(SCHEDULER, {}).get("_class_name"))
    return FLOW if name.startswith("FlowMatch") else EVERY
