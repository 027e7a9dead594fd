"""Latents between two passes: as bytes, and at another size.

Imported only where torch is.
"""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from serve_app.core.errors import InvalidRequest
from serve_app.core.image.images import LatentResampling

NAME = "latents"
MODES: dict[LatentResampling, tuple[str, bool]] = {
    "bilinear": ("bilinear", False),
    "smooth_bilinear": ("bilinear", True),
    "bicubic": ("bicubic", False),
    "smooth_bicubic": ("bicubic", True),
    "nearest": ("nearest", False),
    "exact_nearest": ("nearest-exact", False),
}


def latent_bytes(latents: torch.Tensor) -> bytes:
    """Those of one image: channels, rows, columns."""
    return save({NAME: latents.contiguous()})


def read_latents(file: Path, *, channels: int) -> torch.Tensor:
    """The same, as a batch of one. InvalidRequest for what is none, or another model's. Blocks."""
    try:
        latents = load_file(file)[NAME]
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise InvalidRequest("these are no latents", param=NAME) from error
    if latents.dim() != 3 or len(latents) != channels:
        raise InvalidRequest("these latents are another model's", param=NAME)
    return latents.unsqueeze(0)


def resampled(latents: torch.Tensor, cells: tuple[int, int], how: LatentResampling) -> torch.Tensor:
    """At so many rows and columns."""
    mode, is_smooth = MODES[how]
    return torch.nn.functional.interpolate(latents, size=cells, mode=mode, antialias=is_smooth)
