"""Where torch computes, and in which number type, by an engine's options.

Imported only where torch is.
"""

from typing import Any, Protocol

import torch

from serve_app.core.errors import BackendUnavailable


class HasDevice(Protocol):
    """Options that say where the model goes (auto, cpu or cuda), and on how many threads."""

    @property
    def device(self) -> str: ...  # noqa: D102

    @property
    def threads(self) -> int | None: ...  # noqa: D102


class HasDtype(Protocol):
    """Options that name a number type of torch's, or `auto`."""

    @property
    def dtype(self) -> str: ...  # noqa: D102


def device_of(options: HasDevice) -> torch.device:
    """Where the model goes, with torch's threads set. BackendUnavailable for cuda where there is
    none.
    """
    if options.device == "cuda" and not torch.cuda.is_available():
        raise BackendUnavailable(
            "no CUDA device is visible here", remedy="set placement.gpus, or device to 'auto'"
        )
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    if options.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(options.device)


def dtype_of(options: HasDtype, device: torch.device) -> Any:
    """`auto` is the checkpoint's own type on a GPU and float32 on a CPU, where halves are slow."""
    if options.dtype == "auto":
        return torch.float32 if device.type == "cpu" else "auto"
    return getattr(torch, options.dtype)
