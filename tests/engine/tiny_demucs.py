"""Tiny HTDemucs checkpoints with random weights, in the forms in which Demucs gives its own."""

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from demucs.htdemucs import HTDemucs
from safetensors.torch import save_file

SOURCES = ("drums", "bass", "other", "vocals")
RATE = 8_000
SEGMENT = Fraction(2)


def tiny(sources: Sequence[str] = SOURCES, *, seed: int = 0) -> HTDemucs:
    """Hears stereo at 8 kHz, two seconds at once."""
    torch.manual_seed(seed)
    arguments = settings(sources)
    model: HTDemucs = HTDemucs(arguments.pop("sources"), **arguments).eval()
    return model


def settings(sources: Sequence[str]) -> dict[str, Any]:
    """The arguments of the class."""
    return {
        "sources": list(sources),
        "channels": 8,
        "dconv_comp": 4,
        "nfft": 512,
        "depth": 3,
        "t_layers": 1,
        "t_heads": 2,
        "dconv_depth": 1,
        "samplerate": RATE,
        "segment": SEGMENT,
    }


def save_safetensors(folder: Path, name: str, sources: Sequence[str] = SOURCES) -> Path:
    """As on the hub: class and arguments in the metadata."""
    folder.mkdir(parents=True, exist_ok=True)
    model = tiny(sources)
    kwargs = settings(sources)
    kwargs["segment"] = {"_type": "fraction", "numerator": 2, "denominator": 1}
    metadata = {
        "klass": "demucs.htdemucs.HTDemucs",
        "args": "[]",
        "kwargs": json.dumps(kwargs),
    }
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    save_file(state, folder / f"{name}.safetensors", metadata=metadata)
    return folder


def save_pickle(folder: Path, name: str, *, seed: int = 0) -> Path:
    """As Demucs gave its models out first."""
    folder.mkdir(parents=True, exist_ok=True)
    package = {
        "klass": HTDemucs,
        "args": (),
        "kwargs": settings(SOURCES),
        "state": tiny(seed=seed).state_dict(),
        "training_args": {},
    }
    torch.save(package, folder / f"{name}.th")
    return folder
