"""Which depth model converts a video to stereo: one of the kind that is asked for."""

import asyncio

from serve_app.catalog.catalog import Catalog, CatalogEntry
from serve_app.catalog.ranked_models import ranked_models
from serve_app.core.errors import UnsupportedCapability
from serve_app.core.image.depth import METHODS, DepthMethod
from serve_app.core.tasks import TASKS
from serve_app.family.model_configuration import known_configuration


async def select_depth(catalog: Catalog, method: DepthMethod | None) -> CatalogEntry:
    """The first model of this kind, the default one before the others and those that have failed
    to load last. A model whose kind nobody knows yet, because it was never loaded and its files are
    not on this machine, is taken where none is known to be right.

    BackendUnavailable where no depth model is configured, UnsupportedCapability with `param`
    `method` where all are of another kind.
    """
    default = catalog.find("depth", None)
    if method is None:
        return default
    statuses = await catalog.statuses()
    unknown: list[CatalogEntry] = []
    kinds: dict[str, str] = {}
    for found in (await ranked_models(catalog, "depth")).in_turn:
        status = statuses.get(found.id)
        kind: str | None = status.depth_method if status is not None else None
        kind = kind or await asyncio.to_thread(_kind, catalog, found)
        if kind == method:
            return found
        if kind is None:
            unknown.append(found)
        else:
            kinds[found.id] = kind
    if unknown:
        return unknown[0]
    raise _no_such_depth_model(method, kinds)


def _kind(catalog: Catalog, found: CatalogEntry) -> str | None:
    """By the configuration of the checkpoint, where that is on this machine."""
    source = found.model.place
    if source is None:
        return None
    configuration = known_configuration(
        source, revision=found.model.revision, data_dir=catalog.config.storage.data_dir
    )
    architecture = (configuration or {}).get("model_type")
    return METHODS.get(architecture, architecture) if isinstance(architecture, str) else None


def _no_such_depth_model(method: DepthMethod, kinds: dict[str, str]) -> UnsupportedCapability:
    there = ", ".join(f"{id!r} ({kind})" for id, kind in kinds.items())
    return UnsupportedCapability(
        f"no configured depth model is of the kind {method!r}",
        remedy=(
            f"models: {there}; leave it out, or add one to the configuration"
            f"{TASKS['depth'].suggestion}"
        ),
        param="method",
    )
