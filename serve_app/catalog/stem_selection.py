"""Which model takes a mix apart: a trained one, or signal processing where that is allowed."""

from dataclasses import dataclass

from serve_app.catalog.catalog import Catalog, Found
from serve_app.core.errors import BackendUnavailable


@dataclass(frozen=True)
class ChosenSeparator:
    """The model, and the engine of the trained one if there is one in service."""

    model: Found
    trained_engine: str | None


async def select_stems(catalog: Catalog, *, allows_fallback: bool) -> ChosenSeparator:
    """The first trained model that has not failed to load, else the first that needs no training;
    the default model comes before the others of its sort.

    BackendUnavailable when there is neither, or only what is not allowed.
    """
    statuses = await catalog.statuses()
    preferred = catalog.config.defaults.of("stems")
    default = None if preferred is None else catalog.find("stems", preferred).id
    found = sorted(catalog.every("stems"), key=lambda model: model.id != default)
    trained = [
        model
        for model in found
        if not model.family.options.is_fallback
        and (model.id not in statuses or statuses[model.id].state != "failed")
    ]
    if trained:
        return ChosenSeparator(trained[0], trained[0].family.options.engine)
    fallback = [model for model in found if model.family.options.is_fallback]
    if allows_fallback and fallback:
        return ChosenSeparator(fallback[0], None)
    remedy = "; allow the fallback to separate by signal processing" if fallback else ""
    raise BackendUnavailable(
        f"no trained stem separation model is in service{remedy}",
        param="allows_fallback" if fallback else None,
        provider="stems",
    )
