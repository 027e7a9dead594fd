"""Latents as small images, without decoding them: each colour is a weighted sum of channels.

The weights of a model are fitted, once, to what its own autoencoder decodes; that takes as long as
one small image, and holds for autoencoders that nobody has published weights for.
"""

import math
from typing import Any

import torch
from PIL import Image

SIDE_PX = 128
SEED = 7
FADED = 1.5
"""Latents that begin with more noise than this are divided by what is left of it."""


class LatentPreviews:
    """For one autoencoder. For the thread that generates."""

    def __init__(self, vae: Any, device: torch.device) -> None:
        self._vae = vae
        self._device = device
        self._weights: torch.Tensor | None = None

    def image(self, latents: torch.Tensor) -> Image.Image:
        """The latents of one image, channels first, as a pixel per cell."""
        if self._weights is None:
            self._weights = _fitted(self._vae, self._device)
        values = latents.detach().float().cpu()
        channels, height, width = values.shape
        rows = _with_one(values.reshape(channels, -1).T)
        colours = ((rows @ self._weights).clamp(-1, 1) + 1) * 127.5
        data = colours.to(torch.uint8).reshape(height, width, 3)
        return Image.frombytes("RGB", (width, height), data.contiguous().numpy().tobytes())


def unpacked(pipeline: Any, latents: torch.Tensor, size: tuple[int, int] | None) -> Any:
    """Latents as rows of channels, height and width; None where they are laid out otherwise."""
    if latents.dim() == 3 and size is not None and hasattr(pipeline, "_unpack_latents"):
        width, height = size
        latents = pipeline._unpack_latents(latents, height, width, pipeline.vae_scale_factor)
    if latents.dim() == 5 and latents.shape[2] == 1:
        latents = latents[:, :, 0]
    return latents if latents.dim() == 4 else None


def brightened(scheduler: Any, latents: torch.Tensor) -> torch.Tensor:
    """Of about the range of finished ones, however much noise is left in them."""
    sigmas, index = getattr(scheduler, "sigmas", None), getattr(scheduler, "step_index", None)
    begun = float(getattr(scheduler, "init_noise_sigma", 1.0))
    if sigmas is None or index is None or begun < FADED:
        return latents
    return latents / math.sqrt(1 + float(sigmas[min(index, len(sigmas) - 1)]) ** 2)


def _fitted(vae: Any, device: torch.device) -> torch.Tensor:
    """By least squares: a row for each channel, and one more for what is always there."""
    dtype = vae.dtype
    with torch.no_grad():
        encoded = vae.encode(_scenes().to(device, dtype)).latent_dist.mode()
        noise = torch.randn(encoded[:1].shape, generator=torch.Generator().manual_seed(SEED))
        scale = float(vae.config.scaling_factor)
        shift = float(getattr(vae.config, "shift_factor", None) or 0.0)
        latents = torch.cat([encoded, noise.to(device, dtype) / scale + shift])
        decoded = vae.decode(latents).sample.float()
    height, width = latents.shape[-2:]
    colours = torch.nn.functional.adaptive_avg_pool2d(decoded, (height, width)).cpu()
    own = ((latents.float() - shift) * scale).cpu()
    rows = _with_one(own.permute(0, 2, 3, 1).reshape(-1, own.shape[1]))
    solution: torch.Tensor = torch.linalg.lstsq(rows, colours.permute(0, 2, 3, 1).reshape(-1, 3))[0]
    return solution


def _with_one(rows: torch.Tensor) -> torch.Tensor:
    return torch.cat([rows, torch.ones(len(rows), 1)], dim=1)


def _scenes() -> torch.Tensor:
    """Images of many colours, smooth and in patches, from -1 to 1."""
    generator = torch.Generator().manual_seed(SEED)
    scenes = []
    for cells in (3, 8, 16):
        small = torch.rand((1, 3, cells, cells), generator=generator) * 2 - 1
        mode = "nearest" if cells == 16 else "bicubic"
        scenes.append(torch.nn.functional.interpolate(small, size=(SIDE_PX, SIDE_PX), mode=mode))
    return torch.cat(scenes).clamp(-1, 1)
