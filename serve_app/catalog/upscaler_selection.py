"""Which model makes an image larger: a trained one, or resampling where that is allowed."""

from serve_app.catalog.catalog import Catalog, CatalogEntry
from serve_app.catalog.ranked_models import ranked_models
from serve_app.core.choices import explicit
from serve_app.core.errors import BackendUnavailable
from serve_app.core.tasks import TASKS


async def select_upscaler(
    catalog: Catalog, name: str | None, *, allows_resize: bool
) -> CatalogEntry:
    """The model that is named; else the default, or the first trained one that has not failed to
    load; else, where that is allowed, the first that only resizes. Raises BackendUnavailable when
    there is neither.
    """
    if explicit(name) is not None:
        found = catalog.find("upscaling", name)
        if found.family.options.is_fallback and not allows_resize:
            raise _none_trained(f"model {name!r} only resizes", is_resizable=True)
        return found
    now = await ranked_models(catalog, "upscaling")
    able = now.trained + (now.fallbacks if allows_resize else [])
    if able:
        return able[0]
    raise _none_trained("no trained upscaler is available", is_resizable=bool(now.fallbacks))


def _none_trained(fact: str, *, is_resizable: bool) -> BackendUnavailable:
    resize = "allow resizing by Lanczos resampling, or " if is_resizable else ""
    return BackendUnavailable(
        f"{fact}",
        remedy=f"{resize}add a family to the configuration{TASKS['upscaling'].suggestion}",
        param="allows_resize" if is_resizable else "model",
        provider="upscaling",
    )
