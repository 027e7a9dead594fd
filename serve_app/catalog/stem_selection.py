"""Which model separates stems: a trained one, or signal processing where that is allowed."""

from dataclasses import dataclass

from serve_app.catalog.catalog import Catalog, CatalogEntry
from serve_app.catalog.ranked_models import ranked_models
from serve_app.core.errors import BackendUnavailable


@dataclass(frozen=True)
class ChosenSeparator:
    """The model, and the engine of the trained one if there is one in service."""

    model: CatalogEntry
    trained_engine: str | None


async def select_stems(catalog: Catalog, *, allows_fallback: bool) -> ChosenSeparator:
    """The first trained model that has not failed to load, else the first that needs no training;
    the default model comes before the others of its sort.

    BackendUnavailable when there is neither, or only what is not allowed.
    """
    now = await ranked_models(catalog, "stems")
    if now.trained:
        return ChosenSeparator(now.trained[0], now.trained[0].family.options.engine)
    fallbacks = now.fallbacks
    if allows_fallback and fallbacks:
        return ChosenSeparator(fallbacks[0], None)
    raise BackendUnavailable(
        "no trained stem separation model is available",
        remedy="allow the fallback to separate by signal processing" if fallbacks else None,
        param="allows_fallback" if fallbacks else None,
        provider="stems",
    )
