"""Tiles of images as tensors and back. Imported only where torch is."""

from typing import Any

import torch

from deployments.media.image_tiles import Pixels


def as_tensor(tile: Pixels, *, channels: int, device: Any, dtype: Any) -> torch.Tensor:
    """(1, channels, height, width) from 0 to 1; one channel is the mean of three."""
    values = torch.from_numpy(tile.copy()).permute(2, 0, 1)[None]
    values = values.to(device, dtype) / 255
    return values.mean(dim=1, keepdim=True) if channels == 1 else values


def as_tile(values: torch.Tensor) -> Pixels:
    """(1 or 3, height, width) from 0 to 1 as (height, width, 3)."""
    pixels = (values.float().clamp(0, 1) * 255).round().to(torch.uint8)
    return pixels.expand(3, -1, -1).permute(1, 2, 0).cpu().numpy()
