"""Files of tensors: PyTorch's own pickles, read without running what is in them, and made
safetensors.
"""

import pickle
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

SAFE_SUFFIX = ".safetensors"
STATES = ("model_state_dict", "model_state", "state_dict", "params_ema", "params", "model")
"""Where training keeps the weights beside its own state, in the order in which they are tried."""
PARALLEL = "module."
RECONSTRUCT: Any = np.zeros(1).__reduce__()[0]
ARRAYS: list[Any] = [
    # Under its name of numpy 1, which older files have, and under that of today.
    (RECONSTRUCT, "numpy.core.multiarray._reconstruct"),
    (RECONSTRUCT, "numpy._core.multiarray._reconstruct"),
    np.ndarray,
    np.dtype,
    np.dtypes.Float16DType,
    np.dtypes.Float32DType,
    np.dtypes.Float64DType,
]
"""What unpickling numpy's arrays of numbers needs."""


class UnreadableTensors(Exception):
    """Says what is wrong with the file, without its path."""


def restricted_content(file: Path) -> object:
    """What is in a file of tensors; of pickles, in zip archives or older, tensors, numpy's arrays
    and plain values only. UnreadableTensors for anything else, of which nothing is run.
    """
    try:
        if file.suffix == SAFE_SUFFIX:
            return load_file(file)
        with torch.serialization.safe_globals(ARRAYS):
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UnreadableTensors(
            "its file contains more than tensors, or is not a PyTorch file"
        ) from error
    except (OSError, ValueError, RuntimeError, KeyError, EOFError, SafetensorError) as error:
        raise UnreadableTensors(f"its file cannot be read ({type(error).__name__})") from error


def state_of(file: Path) -> dict[str, Tensor]:
    """The weights in the file by name, without what training adds: its own state beside them, plain
    values, and what training in parallel puts before the names. UnreadableTensors without any.
    """
    content = restricted_content(file)
    if not isinstance(content, Mapping):
        raise UnreadableTensors(f"its file contains a {type(content).__name__}, not named weights")
    inner = next((content[name] for name in STATES if isinstance(content.get(name), Mapping)), None)
    state = dict(_named(content if inner is None else inner, ""))
    if not state:
        raise UnreadableTensors("its file contains no weights")
    if all(name.startswith(PARALLEL) for name in state):
        return {name.removeprefix(PARALLEL): value for name, value in state.items()}
    return state


def as_safetensors(sources: Sequence[Path], target: Path) -> None:
    """A conversion: the weights of all sources in one safetensors file. UnreadableTensors when
    there are none, or two of one name.
    """
    state: dict[str, Tensor] = {}
    for source in sources:
        for name, value in state_of(source).items():
            if name in state:
                raise UnreadableTensors(f"its files contain {name!r} twice")
            # Views of one storage, as tied weights are, cannot be saved as they are.
            state[name] = value.detach().clone(memory_format=torch.contiguous_format)
    save_file(state, target, metadata={"format": "pt"})


def _named(content: Mapping[object, object], before: str) -> Iterator[tuple[str, Tensor]]:
    for key, value in content.items():
        name = f"{before}{key}"
        if isinstance(value, np.ndarray):
            value = torch.from_numpy(value)
        if isinstance(value, Tensor):
            yield name, value
        elif isinstance(value, Mapping):
            yield from _named(value, f"{name}.")
