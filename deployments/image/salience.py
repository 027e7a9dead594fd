"""What stands out of an image, as a network in ONNX says. Blocks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image

from deployments.image.segment_images import Mask
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable

Array = np.ndarray[Any, np.dtype[np.float32]]
SUFFIX = ".onnx"
MEAN = np.array((0.485, 0.456, 0.406), np.float32)
DEVIATION = np.array((0.229, 0.224, 0.225), np.float32)
"""Of the images that U2-Net was trained with, per channel."""
OBJECT = 0.5


class SalienceNetwork:
    """One loaded network, which sees every image at a square size of its own."""

    def __init__(self, file: Path, *, threads: int | None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        # Threads that wait for work would otherwise keep the cores from others.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(file), options, providers=["CPUExecutionProvider"]
        )
        (seen,) = self._session.get_inputs()
        self._input, shape = seen.name, seen.shape
        self._output = self._session.get_outputs()[0].name
        if len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3] or type(shape[2]) is not int:
            raise ValueError(f"it is shown {shape}, not square images")
        self._side = int(shape[2])

    def masks(self, image: Image.Image) -> Iterator[Mask]:
        """One mask, of everything that stands out, or none."""
        found = self._salience(image)
        if found.max() <= OBJECT:
            return
        # As its authors show it: the least and the most that were found are nothing and object.
        found = (found - found.min()) / (found.max() - found.min())
        opacity = Image.fromarray((255 * found).round().astype(np.uint8))
        opacity = opacity.resize(image.size, Image.Resampling.BILINEAR)
        mask = opacity.point([255 * (level > 255 * OBJECT) for level in range(256)])
        yield Mask(mask, float(found[found > OBJECT].mean()), opacity=opacity)

    def _salience(self, image: Image.Image) -> Array:
        """From 0 to 1, at the network's size."""
        small = image.resize((self._side, self._side), Image.Resampling.LANCZOS)
        pixels = np.asarray(small, np.float32)
        levels = (pixels / max(float(pixels.max()), 1) - MEAN) / DEVIATION
        shown = np.ascontiguousarray(levels.transpose(2, 0, 1)[None])
        (found,) = self._session.run([self._output], {self._input: shown})
        return np.asarray(found, np.float32).reshape(self._side, self._side)


def loaded_network(model: Model, path: Path, *, threads: int | None) -> SalienceNetwork:
    """The file itself, or the only one in a directory. BackendUnavailable for anything else."""
    files = [path] if path.is_file() else sorted(path.glob(f"*{SUFFIX}"))
    if len(files) != 1:
        raise BackendUnavailable(
            f"model {model.id!r} has {len(files)} files that end with {SUFFIX}",
            remedy="set its source to one",
        )
    try:
        return SalienceNetwork(files[0], threads=threads)
    # The library's own exceptions have no common base but this.
    except Exception as error:
        raise BackendUnavailable(
            f"model {model.id!r} cannot be loaded ({type(error).__name__})",
            remedy="set its source to U2-Net in ONNX",
            provider="u2net",
        ) from error
