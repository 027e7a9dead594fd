"""Upscaling with Swin2SR checkpoints through transformers."""

from pathlib import Path
from typing import Any

import torch
from transformers import Swin2SRForImageSuperResolution
from typing_extensions import override

from deployments.image.tensor_tiles import as_tensor, as_tile
from deployments.image.tiled_upscaling import OneNetworkUpscaling
from deployments.media.image_tiles import Pixels, Tiling, padded
from deployments.torch_device import device_of, dtype_of
from deployments.transformers_checkpoint import check_complete, loading
from serve_app.core.config import Model
from serve_app.core.media import BlobStore
from serve_app.core.options.image import Swin2srOptions


class Swin2srUpscaling(OneNetworkUpscaling[Swin2srOptions]):
    """An Upscaler."""

    def __init__(
        self, options: Swin2srOptions, model: Model, *, path: Path | None, blobs: BlobStore
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        device = device_of(options)
        arguments = {"dtype": dtype_of(options, device), "local_files_only": True} | options.extra
        kind: Any = Swin2SRForImageSuperResolution
        with loading(model, path) as directory:
            network, report = kind.from_pretrained(
                str(directory), output_loading_info=True, **arguments
            )
        check_complete(model, report["missing_keys"], kind="a Swin2SR checkpoint")
        self.network = network.to(device).eval()
        config = network.config
        self._step_px = int(config.window_size)
        self.scale = int(config.upscale)
        self._channels = int(config.num_channels)
        self.tiling = Tiling(options.tile_px, options.overlap_px, self._step_px)

    @override
    @torch.inference_mode()
    def run(self, tile: Pixels) -> Pixels:
        """Sides are made multiples of the windows here: the model's own padding
        fails on sides that are shorter than half a window.
        """
        height, width = (side * self.scale for side in tile.shape[:2])
        network = self.network
        values = as_tensor(
            padded(tile, self._step_px),
            channels=self._channels,
            device=network.device,
            dtype=network.dtype,
        )
        return as_tile(network(pixel_values=values).reconstruction[0, :, :height, :width])
