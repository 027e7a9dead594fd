"""Which model makes an image larger: a trained one, or resampling where that is allowed."""

from serve_app.catalog.catalog import Catalog, Found
from serve_app.core.errors import BackendUnavailable
from serve_app.core.tasks import TASKS


async def select_upscaler(catalog: Catalog, name: str | None, *, allows_resize: bool) -> Found:
    """The model that is named; else the default, or the first trained one that has not failed to
    load; else, where that is allowed, the first that only resizes. Raises BackendUnavailable when
    there is neither.
    """
    if name is not None and name.strip().lower() not in ("", "auto"):
        found = catalog.find("upscaling", name)
        if found.family.options.is_fallback and not allows_resize:
            raise _none_trained(f"model {name!r} only resizes", is_resizable=True)
        return found
    statuses = await catalog.statuses()
    every = catalog.every("upscaling")
    preferred = catalog.config.defaults.of("upscaling")
    if preferred is not None:
        default = catalog.find("upscaling", preferred)
        every = [default, *(found for found in every if found.id != default.id)]
    trained = [
        found
        for found in every
        if not found.family.options.is_fallback
        and (found.id not in statuses or statuses[found.id].state != "failed")
    ]
    resizing = [found for found in every if found.family.options.is_fallback]
    if trained:
        return trained[0]
    if allows_resize and resizing:
        return resizing[0]
    raise _none_trained("no trained upscaler is in service", is_resizable=bool(resizing))


def _none_trained(fact: str, *, is_resizable: bool) -> BackendUnavailable:
    resize = "allow resizing by Lanczos resampling, or " if is_resizable else ""
    return BackendUnavailable(
        f"{fact}; {resize}add a family to the configuration{TASKS['upscaling'].suggestion}",
        param="allows_resize" if is_resizable else "model",
        provider="upscaling",
    )
