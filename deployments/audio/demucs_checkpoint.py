"""Demucs' checkpoints: a directory with weights and, for bags of models, the list of them.

Both forms of the project's own are read: safetensors whose metadata name the class, and the older
pickles, of which nothing but tensors, numbers and Demucs' own classes is let in.
"""

import pickle
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
import yaml
from demucs.apply import BagOfModels
from demucs.demucs import Demucs
from demucs.hdemucs import HDemucs
from demucs.hf import load_safetensors_model
from demucs.htdemucs import HTDemucs
from demucs.states import load_model
from safetensors import SafetensorError, safe_open

CLASSES = {f"{each.__module__}.{each.__name__}": each for each in (Demucs, HDemucs, HTDemucs)}
WEIGHTS = (".safetensors", ".th")


UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RuntimeError,
    AssertionError,
    pickle.UnpicklingError,
    SafetensorError,
    yaml.YAMLError,
)
"""What the libraries raise for files that are something else."""


def load_bag(path: Path) -> BagOfModels:
    """The models below `path`, on the CPU. ValueError when there are none, or other ones."""
    try:
        return _bag(path)
    except UNREADABLE as error:
        raise ValueError("it is not a Demucs checkpoint") from error


def _bag(path: Path) -> BagOfModels:
    if path.is_file():
        return BagOfModels([_model(path)])
    lists = sorted(path.glob("*.yaml"))
    files = sorted(file for file in path.iterdir() if file.suffix in WEIGHTS)
    if len(lists) == 1:
        bag = yaml.safe_load(lists[0].read_text())
        models = [_model(_file_of(str(signature), files)) for signature in bag["models"]]
        return BagOfModels(models, bag.get("weights"), bag.get("segment"))
    if len(files) != 1:
        raise ValueError(f"it has {len(lists)} lists (*.yaml) and {len(files)} weights files")
    return BagOfModels([_model(files[0])])


def _file_of(signature: str, files: list[Path]) -> Path:
    """`<signature>.safetensors`, `<signature>.th` or `<signature>-<checksum>.th`."""
    for file in files:
        if file.stem == signature or file.stem.startswith(f"{signature}-"):
            return file
    raise ValueError(f"the list names {signature!r}, but its weights are missing")


def _model(file: Path) -> Any:
    if file.suffix == ".safetensors":
        with safe_open(str(file), framework="pt") as content:
            name = (content.metadata() or {}).get("klass")
        # The library would import whatever is named there.
        if name not in CLASSES:
            raise ValueError(f"{name!r} is not a Demucs class")
        return load_safetensors_model(file)
    with torch.serialization.safe_globals([*CLASSES.values(), Fraction]):
        package = torch.load(file, "cpu", weights_only=True)
    return load_model(package)  # type: ignore[no-untyped-call]
