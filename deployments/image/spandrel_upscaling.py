"""Upscaling with Real-ESRGAN and every other architecture that spandrel knows.

spandrel imports torchvision, of which there is no build for every machine: both come with the
`spandrel` extra.
"""

import pickle
from pathlib import Path
from typing import Any

from typing_extensions import override

from deployments.image.tiled_upscaling import OneNetworkUpscaling
from deployments.media.image_tiles import Pixels, Tiling
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.media import BlobStore
from serve_app.core.options.image import SpandrelOptions
from serve_app.runtime.extras import needed_by

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt")
"""What spandrel's loader reads, the safest first; the others are unpickled by its restricted
unpickler."""

WHOLE_PX = 1 << 20


class SpandrelUpscaling(OneNetworkUpscaling[SpandrelOptions]):
    """An Upscaler."""

    def __init__(
        self, options: SpandrelOptions, model: Model, *, path: Path | None, blobs: BlobStore
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        self.network = _loaded(options, model, path)
        self.scale = self.network.scale
        # Some architectures look at the whole image by themselves in bounded memory.
        is_whole = self.network.tiling.name == "INTERNAL"
        self.tiling = Tiling(WHOLE_PX if is_whole else options.tile_px, options.overlap_px)

    @override
    def run(self, tile: Pixels) -> Pixels:
        from deployments.image.tensor_tiles import as_tensor, as_tile

        network = self.network
        values = as_tensor(
            tile, channels=network.input_channels, device=network.device, dtype=network.dtype
        )
        # The descriptor itself pads to what the architecture needs, and runs without gradients.
        return as_tile(network(values)[0])


def weights_file(path: Path, model: Model) -> Path:
    """The file itself, or the one in a directory. BackendUnavailable when it is not clear."""
    if path.is_file():
        return path
    for suffix in SUFFIXES:
        found = sorted(path.glob(f"*{suffix}"))
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(file.name for file in found[:8])
            raise BackendUnavailable(
                f"model {model.id!r} has several weights files ({names})",
                remedy="set its source to one",
            )
    raise BackendUnavailable(
        f"model {model.id!r} has no weights file",
        remedy=(
            f"set its source to one of the kinds {', '.join(SUFFIXES)}, or to a directory that "
            "holds one"
        ),
    )


def _loaded(options: SpandrelOptions, model: Model, path: Path | None) -> Any:
    """A spandrel.ImageModelDescriptor, ready to be called."""
    with needed_by(options):
        import spandrel

        from deployments.torch_device import device_of

    if path is None:
        raise BackendUnavailable(
            f"model {model.id!r} has no source", remedy="set it to a weights file"
        )
    file = weights_file(path, model)
    try:
        network = spandrel.ModelLoader(device=device_of(options)).load_from_file(file)
        network = network.to(_dtype(options, network)).eval()
    except (
        spandrel.UnsupportedModelError,
        spandrel.UnsupportedDtypeError,
        pickle.UnpicklingError,
        OSError,
        ValueError,
        RuntimeError,
        KeyError,
    ) as error:
        raise BackendUnavailable(
            f"model {model.id!r} cannot be loaded by spandrel ({type(error).__name__})",
            remedy="check that its weights are of an architecture that spandrel knows",
            provider=options.engine,
        ) from error
    _check_kind(network, model)
    return network


def _dtype(options: SpandrelOptions, network: Any) -> Any:
    import torch

    if options.dtype != "auto":
        return getattr(torch, options.dtype)
    is_halved = network.device.type == "cuda" and network.supports_half
    return torch.float16 if is_halved else torch.float32


def _check_kind(network: Any, model: Model) -> None:
    import spandrel

    fits = isinstance(network, spandrel.ImageModelDescriptor) and (
        network.input_channels == network.output_channels in (1, 3)
    )
    if not fits:
        raise BackendUnavailable(
            f"model {model.id!r} ({network.architecture.name}) does not upscale colour or "
            "grey images",
            remedy="set its source to weights of an upscaler",
        )
