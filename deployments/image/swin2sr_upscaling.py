"""Upscaling with Swin2SR checkpoints through transformers."""

from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import Swin2SRForImageSuperResolution

from deployments.image.image_upscaling import ImageUpscaling
from deployments.image.tensor_tiles import as_tensor, as_tile
from deployments.media.image_tiles import Enlarged, Pixels, TileNetwork, Tiling, enlarged, padded
from deployments.model_engine import WorkerEngine
from deployments.torch_device import device_of, dtype_of
from deployments.transformers_checkpoint import check_complete, loading
from serve_app.core.config import Model
from serve_app.core.image.upscaling import (
    UpscaleEvent,
    UpscaleImage,
    UpscaleVideo,
    VideoUpscaleEvent,
)
from serve_app.core.media import BlobStore
from serve_app.core.message import Progress
from serve_app.core.options.image import Swin2srOptions


class Swin2srUpscaling(WorkerEngine[Swin2srOptions]):
    """An Upscaler. Images and frames are enlarged one after the other in one thread."""

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
        self._network: Any = network.to(device).eval()
        config = network.config
        self._step_px = int(config.window_size)
        self._scale = int(config.upscale)
        self._channels = int(config.num_channels)
        self._tiling = Tiling(options.tile_px, options.overlap_px, self._step_px)
        self._upscaling = ImageUpscaling(
            self._enlarged, engine=options.engine, blobs=blobs, executor=self.worker
        )

    async def close(self) -> None:
        """Free the weights; an image under way ends with an error."""
        await super().close()
        self._network = None

    def upscale(self, request: UpscaleImage) -> AsyncGenerator[UpscaleEvent]:
        """See Upscaler."""
        return self._upscaling.upscale(request)

    def upscale_video(self, request: UpscaleVideo) -> AsyncGenerator[VideoUpscaleEvent]:
        """See Upscaler."""
        from deployments.video.video_scaling import EnlargedFrames, VideoScaling

        frames = EnlargedFrames(self._enlarged, self.worker)
        scaling = VideoScaling(frames, engine=self.options.engine, blobs=self.blobs)
        return scaling.upscale_video(request)

    def _enlarged(self, image: Image.Image, wanted: int) -> Iterator[Progress | Enlarged]:
        return enlarged(image, wanted, TileNetwork(self._scale, self._run), self._tiling)

    @torch.inference_mode()
    def _run(self, tile: Pixels) -> Pixels:
        """Sides are made multiples of the windows here: the model's own padding fails on sides
        that are shorter than half a window.
        """
        height, width = (side * self._scale for side in tile.shape[:2])
        network = self._network
        values = as_tensor(
            padded(tile, self._step_px),
            channels=self._channels,
            device=network.device,
            dtype=network.dtype,
        )
        return as_tile(network(pixel_values=values).reconstruction[0, :, :height, :width])
