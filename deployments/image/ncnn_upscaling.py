"""Upscaling with networks in ncnn's form, on a CPU and without torch."""

from pathlib import Path

from typing_extensions import override

from deployments.image.tiled_upscaling import TiledUpscaling
from deployments.media.image_tiles import TileNetwork, Tiling
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.media import BlobStore
from serve_app.core.options.image import NcnnOptions
from serve_app.runtime.extras import needed_by
from serve_app.runtime.threads import unloaded


class NcnnUpscaling(TiledUpscaling[NcnnOptions]):
    """An Upscaler. It uses the network whose factor is the one asked for; if there is none, the
    one that makes least too much.
    """

    def __init__(
        self, options: NcnnOptions, model: Model, *, path: Path | None, blobs: BlobStore
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        with needed_by(options):
            from deployments.image.ncnn_networks import loaded_networks
        if path is None:
            raise BackendUnavailable(
                f"model {model.id!r} has no source", remedy="set it to a network in ncnn's form"
            )
        self.network = loaded_networks(model, path, threads=options.threads)
        self.tiling = Tiling(options.tile_px, options.overlap_px)

    @override
    def network_for(self, wanted: int) -> TileNetwork:
        if self.network is None:
            raise unloaded()
        scale = min(self.network, key=lambda scale: (scale < wanted, abs(scale - wanted)))
        return TileNetwork(scale, self.network[scale].run)
