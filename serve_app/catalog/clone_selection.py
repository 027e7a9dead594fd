"""Which model speaks in the voice of a recording."""

from serve_app.catalog.catalog import Catalog, CatalogEntry
from serve_app.core.choices import explicit
from serve_app.core.errors import BackendUnavailable, InvalidRequest, UnsupportedCapability


def select_clone(catalog: Catalog, name: str | None, *, param: str) -> CatalogEntry:
    """The named model; without a name the default speech model, or else the first that clones.

    UnsupportedCapability with `param`, the field of the reference, for a model that does not.
    """
    if explicit(name) is not None:
        return _checked(catalog, catalog.find("speech", name), param)
    default = catalog.find("speech", None)
    if default.family.options.clones:
        return default
    return next(iter(cloning_models(catalog)), None) or _checked(catalog, default, param)


def select_clone_engine(catalog: Catalog, engine: str | None) -> CatalogEntry:
    """The first model of an engine, or the one of this id or alias; `auto` and None as nothing.

    InvalidRequest for a name that is neither, BackendUnavailable when no model clones.
    """
    able = cloning_models(catalog)
    if not able:
        raise BackendUnavailable(
            "no configured speech model clones voices", remedy="add a family that does"
        )
    wanted = (explicit(engine) or "").strip()
    if not wanted:
        return select_clone(catalog, None, param="engine")
    for found in able:
        names = (found.id, *found.model.aliases, found.family.options.engine)
        if wanted.lower() in map(str.lower, names):
            return found
    engines = dict.fromkeys(name for f in able for name in (f.family.options.engine, f.id))
    raise InvalidRequest(
        f"no engine or model that clones voices is named {wanted[:100]!r}",
        remedy=f"engines and models: auto, {', '.join(engines)}",
        param="engine",
    )


def cloning_models(catalog: Catalog) -> list[CatalogEntry]:
    """Every speech model that clones, in the order of the configuration."""
    return [found for found in catalog.every("speech") if found.family.options.clones]


def _checked(catalog: Catalog, found: CatalogEntry, param: str) -> CatalogEntry:
    if found.family.options.clones:
        return found
    able = ", ".join(repr(f.id) for f in cloning_models(catalog)) or "none is configured"
    raise UnsupportedCapability(
        f"model {found.id!r} speaks with its own voices only",
        remedy=f"models that clone: {able}",
        param=param,
    )
