"""Which models of a configuration are on this machine, and what the others come from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from serve_app.core.config import AppConfig, Model
from serve_app.core.model_sources import MODELS
from serve_app.core.tasks import TASKS
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
    """What a user should know of the models before the first request: what is here, what comes at
    first use and how large it is, and what needs a hub; each in the order of the tasks.
    """
    found = models_here(config)
    if found.here:
        yield "  here:"
        yield from _rows(config, {model.id: model.id for model in found.here})
    if found.in_packages:
        yield f"  fetched at first use, {_total(found.in_packages)}, or now by `make models`:"
        yield from _rows(config, _sized(found.in_packages))
    if found.on_hubs:
        yield "  with access to a model hub only:"
        yield from _rows(config, {model.id: model.id for model in found.on_hubs})


def _rows(config: AppConfig, names: Mapping[str, str]) -> Iterator[str]:
    """A line per task with its models, of those that have a name in `names`."""
    for task in TASKS:
        families = [family for family in config.families if family.options.task == task]
        ids = [model.id for family in families for model in family.models if model.id in names]
        if ids:
            yield f"    {task:14} {', '.join(names[id] for id in ids)}"


def _sized(models: Sequence[Model]) -> dict[str, str]:
    """The models by id, with sizes. Files that several share have theirs with the first."""
    names, first = dict[str, str](), dict[str, str]()
    for model in models:
        assert model.packaged is not None
        owner = first.setdefault(model.packaged.folder, model.id)
        what = size(model) if owner == model.id else f"with {owner}"
        names[model.id] = f"{model.id} ({what})"
    return names


def _total(models: Sequence[Model]) -> str:
    sources = [model.packaged for model in models if model.packaged is not None]
    sizes = {source.folder: source.size_bytes for source in sources}
    return f"{sum(sizes.values()) / MB:.0f} MB in all"


def _is_here(model: Model, config: AppConfig) -> bool:
    data_dir = config.storage.data_dir
    if model.packaged is not None and files_here(model.packaged, data_dir / MODELS) is not None:
        return True
    names = [source for source in model.sources if isinstance(source, str)]
    is_made = any(name.startswith("builtin:") for name in names)
    return not model.sources or is_made or any(local_path(name, data_dir) for name in names)
