"""Upscaling networks in ncnn's form: a text file that says what they are made of (`.param`), and
their weights (`.bin`). Blocks.
"""

from pathlib import Path

import ncnn
import numpy as np

from deployments.media.image_tiles import Pixels
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable

NETWORK, WEIGHTS = ".param", ".bin"
PROBE_PX = 16
FACTORS = range(1, 9)


class UnfitNetwork(Exception):
    """What is wrong with a network's files."""


class NcnnNetwork:
    """One loaded network. RGB goes in and out as numbers from 0 to 1."""

    def __init__(self, file: Path, *, threads: int | None) -> None:
        self._net = ncnn.Net()
        options = self._net.opt
        options.num_threads = threads or ncnn.get_physical_cpu_count()
        # Threads that wait for work would otherwise keep the cores from others.
        options.openmp_blocktime = 0
        if self._net.load_param(str(file)) or self._net.load_model(str(file.with_suffix(WEIGHTS))):
            raise UnfitNetwork("ncnn cannot load it")
        inputs, outputs = self._net.input_names(), self._net.output_names()
        if len(inputs) != 1 or len(outputs) != 1:
            raise UnfitNetwork(f"it has {len(inputs)} inputs and {len(outputs)} outputs, not one")
        self._input, self._output = inputs[0], outputs[0]
        self.scale = self._factor()

    def run(self, tile: Pixels) -> Pixels:
        """(height, width, 3), `scale` times as large."""
        values = self._values(tile)
        levels = np.clip(values, 0, 1) * np.float32(255) + np.float32(0.5)
        return np.ascontiguousarray(levels.astype(np.uint8).transpose(1, 2, 0))

    def _values(self, tile: Pixels) -> np.ndarray[tuple[int, int, int], np.dtype[np.float32]]:
        # Held until it is read: ncnn keeps no reference to the array.
        seen = np.ascontiguousarray(tile.transpose(2, 0, 1), np.float32) / np.float32(255)
        extractor = self._net.create_extractor()
        extractor.input(self._input, ncnn.Mat(seen))
        failure, made = extractor.extract(self._output)
        if failure:
            raise UnfitNetwork("ncnn cannot run it")
        return np.asarray(made)

    def _factor(self) -> int:
        values = self._values(np.zeros((PROBE_PX, PROBE_PX, 3), np.uint8))
        for factor in FACTORS:
            if values.shape == (3, factor * PROBE_PX, factor * PROBE_PX):
                return factor
        raise UnfitNetwork(f"it makes {values.shape} of an image of {PROBE_PX} pixels square")


def loaded_networks(model: Model, path: Path, *, threads: int | None) -> dict[int, NcnnNetwork]:
    """By their factor. BackendUnavailable without one, with two of one factor, and for files that
    are none.
    """
    networks: dict[int, NcnnNetwork] = {}
    for file in _network_files(model, path):
        try:
            network = NcnnNetwork(file, threads=threads)
        except UnfitNetwork as error:
            raise BackendUnavailable(
                f"model {model.id!r} cannot be loaded: {file.name}: {error}",
                remedy="set its source to an upscaling network in ncnn's form",
                provider="ncnn",
            ) from error
        if network.scale in networks:
            raise BackendUnavailable(
                f"model {model.id!r} has two networks that enlarge {network.scale} times",
                remedy="set its source to one of them",
            )
        networks[network.scale] = network
    return networks


def _network_files(model: Model, path: Path) -> list[Path]:
    files = [path] if path.is_file() else sorted(path.glob(f"*{NETWORK}"))
    if not files:
        raise BackendUnavailable(
            f"model {model.id!r} has no network",
            remedy=f"set its source to a {NETWORK} file, or to a directory that holds some",
        )
    for file in files:
        if not file.with_suffix(WEIGHTS).is_file():
            raise BackendUnavailable(
                f"model {model.id!r} has no weights for {file.name!r}",
                remedy=f"put {file.stem + WEIGHTS!r} beside it",
            )
    return files
