"""Which model segments an image: one that can be pointed at objects where a request does that."""

from serve_app.catalog.catalog import Catalog, CatalogEntry
from serve_app.core.choices import explicit


def select_segmenter(catalog: Catalog, name: str | None, *, has_prompts: bool) -> CatalogEntry:
    """The model that is named; else the default, or for points and boxes the first that takes them,
    if there is one. NotFound and BackendUnavailable as from `Catalog.find`.
    """
    found = catalog.find("segmentation", name)
    if explicit(name) is not None or not has_prompts or found.family.options.takes_prompts:
        return found
    able = (other for other in catalog.every("segmentation") if other.family.options.takes_prompts)
    return next(able, found)
