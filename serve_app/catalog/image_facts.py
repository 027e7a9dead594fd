"""What an image model can run, also before it is loaded."""

from typing import get_args

from serve_app.catalog.catalog import Catalog, CatalogEntry
from serve_app.core.image.samplers import ImageFacts, Sampler, Schedule

SAMPLERS: tuple[Sampler, ...] = get_args(Sampler)
EVERY = ImageFacts(
    samplers=SAMPLERS,
    schedules=get_args(Schedule),
    weighs_words=True,
    resizes_latents=True,
)
"""What an engine for images can run with the models that most know."""


async def image_facts(catalog: Catalog, found: CatalogEntry) -> ImageFacts:
    """The model's own once it was loaded; until then what its engine can at most."""
    status = (await catalog.statuses()).get(found.id)
    return EVERY if status is None or status.image_facts is None else status.image_facts
