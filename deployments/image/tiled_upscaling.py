"""What upscalers share whose network enlarges an image tile by tile."""

from abc import abstractmethod
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from typing_extensions import override

from deployments.image.image_upscaling import ImageUpscaling
from deployments.media.image_tiles import EnlargedImage, Pixels, TileNetwork, Tiling, enlarged
from deployments.model_engine import Options, WorkerEngine
from serve_app.core.config import Model
from serve_app.core.image.upscaling import (
    UpscaleEvent,
    UpscaleImage,
    Upscaler,
    UpscaleVideo,
    VideoUpscaleEvent,
)
from serve_app.core.media import BlobStore
from serve_app.core.message import Progress


class TiledUpscaling(WorkerEngine[Options], Upscaler):
    """An Upscaler. Images and frames are enlarged one after the other in one thread.

    Subclasses set `network` and `tiling` in their constructor.
    """

    network: Any
    tiling: Tiling

    def __init__(
        self, options: Options, model: Model, *, path: Path | None, blobs: BlobStore
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        self._upscaling = ImageUpscaling(
            self._enlarged, engine=options.engine, blobs=blobs, executor=self.worker
        )

    async def close(self) -> None:
        """Free the weights; an image under way ends with an error."""
        await super().close()
        self.network = None

    @override
    def upscale(self, request: UpscaleImage) -> AsyncGenerator[UpscaleEvent]:
        return self._upscaling.upscale(request)

    @override
    def upscale_video(self, request: UpscaleVideo) -> AsyncGenerator[VideoUpscaleEvent]:
        from deployments.video.video_scaling import EnlargedFrames, VideoScaling

        frames = EnlargedFrames(self._enlarged, self.worker)
        scaling = VideoScaling(frames, engine=self.options.engine, blobs=self.blobs)
        return scaling.upscale_video(request)

    @abstractmethod
    def network_for(self, wanted: int) -> TileNetwork:
        """What makes an image this many times as large, if only with others of its kind."""

    def _enlarged(self, image: Image.Image, wanted: int) -> Iterator[Progress | EnlargedImage]:
        return enlarged(image, wanted, self.network_for(wanted), self.tiling)


class OneNetworkUpscaling(TiledUpscaling[Options]):
    """An Upscaler with one network, whose `scale` subclasses set in their constructor."""

    scale: int

    @abstractmethod
    def run(self, tile: Pixels) -> Pixels:
        """A tile, `scale` times as large. Blocks."""

    @override
    def network_for(self, wanted: int) -> TileNetwork:
        return TileNetwork(self.scale, self.run)
