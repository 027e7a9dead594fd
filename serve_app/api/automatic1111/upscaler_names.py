"""Upscalers under the names of this dialect: two that need no model, and the models."""

from typing import Any, Literal

from serve_app.api.automatic1111.error_object import NameNotFound
from serve_app.catalog.catalog import Catalog, CatalogEntry

Resizing = Literal["None", "Lanczos", "Nearest"]
RESIZING: tuple[Resizing, ...] = ("None", "Lanczos", "Nearest")
SCALE = 4
"""How much larger a model makes an image where nothing is said."""


def upscaler_named(catalog: Catalog, text: str, *, param: str) -> Resizing | CatalogEntry:
    """The way to resize, or the model, that a name means. NameNotFound."""
    wanted = text.strip().lower()
    for name in RESIZING:
        if wanted == name.lower() or (name == "None" and not wanted):
            return name
    for found in trained_upscalers(catalog):
        if wanted in (found.id.lower(), *(alias.lower() for alias in found.model.aliases)):
            return found
    names = [*RESIZING, *(found.id for found in trained_upscalers(catalog))]
    raise NameNotFound("Upscaler not found", names, param=param)


def trained_upscalers(catalog: Catalog) -> list[CatalogEntry]:
    """The models that do more than resize."""
    every = catalog.every("upscaling")
    return [found for found in every if not found.family.options.is_fallback]


def listed_upscalers(catalog: Catalog) -> list[dict[str, Any]]:
    """The items of the list of upscalers."""
    models = [(found.id, found.id) for found in trained_upscalers(catalog)]
    return [
        {
            "name": name,
            "model_name": model,
            "model_path": None,
            "model_url": None,
            "scale": SCALE,
        }
        for name, model in (*((name, None) for name in RESIZING), *models)
    ]
