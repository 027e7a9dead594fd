"""Which model separates stems: a trained one, or signal processing where that is allowed."""

from dataclasses import dataclass

from serve_app.catalog.catalog import Catalog, CatalogEntry
from serve_app.catalog.ranked_models import ranked_models
from serve_app.core.audio.stems import StemMode
from serve_app.core.errors import BackendUnavailable


@dataclass(frozen=True)
class ChosenSeparator:
    """The model, and the engine of the trained one if there is one in service."""

    model: CatalogEntry
    trained_engine: str | None


async def select_stems(
    catalog: Catalog, *, stem_mode: StemMode, allows_fallback: bool
) -> ChosenSeparator:
    """The first trained model that has the stems and has not failed to load, else the first that
    needs no training; the default model comes before the others of its sort.

    BackendUnavailable when there is neither, or only what is not allowed.
    """
    now = await ranked_models(catalog, "stems")
    for found in now.trained:
        if stem_mode in found.family.options.stem_modes or not found.family.options.stem_modes:
            return ChosenSeparator(found, found.family.options.engine)
    fallbacks = now.fallbacks
    if allows_fallback and fallbacks:
        engine = now.trained[0].family.options.engine if now.trained else None
        return ChosenSeparator(fallbacks[0], engine)
    which = f" for {stem_mode!r}" if now.trained else ""
    raise BackendUnavailable(
        f"no trained stem separation model is available{which}",
        remedy="allow the fallback to separate by signal processing" if fallbacks else None,
        param="allows_fallback" if fallbacks else None,
        provider="stems",
    )
