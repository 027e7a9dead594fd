"""Upscaling with Swin2SR checkpoints through transformers."""

from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import Swin2SRForImageSuperResolution

from deployments.image.image_tiles import Enlarged, Network, Pixels, Tiling, enlarged, padded
from deployments.image.image_upscaling import ImageUpscaling
from deployments.image.tensor_tiles import as_tensor, as_tile
from deployments.transformers_checkpoint import check_complete, device_of, dtype_of, loading
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


class Swin2srUpscaling:
    """An Upscaler. Images and frames are enlarged one after the other in one thread."""

    context_length: int | None = None

    def __init__(
        self, options: Swin2srOptions, model: Model, *, path: Path | None, blobs: BlobStore
    ) -> None:
        device = device_of(options)
        if options.threads is not None:
            torch.set_num_threads(options.threads)
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
        self._engine, self._blobs = options.engine, blobs
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="swin2sr")
        self._upscaling = ImageUpscaling(
            self._enlarged, engine=options.engine, blobs=blobs, executor=self._thread
        )

    async def start(self) -> None:
        """Nothing to start."""

    async def close(self) -> None:
        """Free the weights; an image under way ends with an error."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._network = None

    def upscale(self, request: UpscaleImage) -> AsyncGenerator[UpscaleEvent]:
        """See Upscaler."""
        return self._upscaling.upscale(request)

    def upscale_video(self, request: UpscaleVideo) -> AsyncGenerator[VideoUpscaleEvent]:
        """See Upscaler."""
        from deployments.video.video_scaling import EnlargedFrames, VideoScaling

        frames = EnlargedFrames(self._enlarged, self._thread)
        return VideoScaling(frames, engine=self._engine, blobs=self._blobs).upscale_video(request)

    def _enlarged(self, image: Image.Image, wanted: int) -> Iterator[Progress | Enlarged]:
        return enlarged(image, wanted, Network(self._scale, self._run), self._tiling)

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
