"""Which models of a configuration are on this machine, and what the others come from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from serve_app.core.config import AppConfig, Model
from serve_app.core.model_sources import MODELS
from serve_app.family.model_files import local_path
from serve_app.family.packages.package_files import files_here

MB = 1_000_000


@dataclass(frozen=True)
class ModelsHere:
    """The models of a configuration by where they are, in its order."""

    here: Sequence[Model]
    in_packages: Sequence[Model]
    on_hubs: Sequence[Model]


def models_here(config: AppConfig) -> ModelsHere:
    """Looks for directories only; no network. What a hub's local cache has counts as the hub's."""
    here, in_packages, on_hubs = list[Model](), list[Model](), list[Model]()
    for family in config.families:
        for model in family.models:
            if _is_here(model, config):
                here.append(model)
            else:
                (on_hubs if model.packaged is None else in_packages).append(model)
    return ModelsHere(here, in_packages, on_hubs)


def size(model: Model) -> str:
    """What there is to fetch of a model that is in packages."""
    packaged = model.packaged
    return "" if packaged is None else f"{packaged.size_bytes / MB:.0f} MB"


def first_use_lines(config: AppConfig) -> Iterator[str]:
    """What a user should know of the models before the first request."""
    found = models_here(config)
    if found.here:
        yield f"  here      {', '.join(model.id for model in found.here)}"
    if found.in_packages:
        names = ", ".join(f"{model.id} ({size(model)})" for model in found.in_packages)
        yield f"  fetched at first use, or by `make models`: {names}"
    if found.on_hubs:
        yield f"  with a model hub only: {', '.join(model.id for model in found.on_hubs)}"


def _is_here(model: Model, config: AppConfig) -> bool:
    data_dir = config.storage.data_dir
    if model.packaged is not None and files_here(model.packaged, data_dir / MODELS) is not None:
        return True
    names = [source for source in model.sources if isinstance(source, str)]
    is_made = any(name.startswith("builtin:") for name in names)
    return not model.sources or is_made or any(local_path(name, data_dir) for name in names)
