"""The models of a task in the order in which they are tried where a request names none."""

from dataclasses import dataclass

from serve_app.catalog.catalog import Catalog, CatalogEntry
from serve_app.core.tasks import Task


@dataclass(frozen=True)
class RankedModels:
    """The default model comes before the others in each list, which keep the configuration's
    order. `failed` are those that could not be loaded.
    """

    in_service: list[CatalogEntry]
    failed: list[CatalogEntry]

    @property
    def in_turn(self) -> list[CatalogEntry]:
        """All of them, failed ones last."""
        return [*self.in_service, *self.failed]

    @property
    def trained(self) -> list[CatalogEntry]:
        """Those in service that are no fallback."""
        return [found for found in self.in_service if not found.family.options.is_fallback]

    @property
    def fallbacks(self) -> list[CatalogEntry]:
        """Those that stand in for a trained model, failed ones last."""
        return [found for found in self.in_turn if found.family.options.is_fallback]


async def ranked_models(catalog: Catalog, task: Task) -> RankedModels:
    """The models of a task in their order now."""
    preferred = catalog.config.defaults.of(task)
    default = None if preferred is None else catalog.find(task, preferred).id
    statuses = await catalog.statuses()
    every = sorted(catalog.every(task), key=lambda found: found.id != default)
    failed = [f for f in every if f.id in statuses and statuses[f.id].state == "failed"]
    return RankedModels([found for found in every if found not in failed], failed)
