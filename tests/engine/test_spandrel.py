"""Upscaling with spandrel: a tiny Real-ESRGAN (compact) with random weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from deployments.image.spandrel_upscaling import SpandrelUpscaling, weights_file
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.image.upscaling import UpscaleImage
from serve_app.core.options.image import SpandrelOptions
from tests.engine.tiny_vision import gradient, image_of, last, stored

MODEL = Model(id="tiny", source="tiny")
FEATURES = 8


def spandrel_is_missing() -> str | None:
    try:
        import spandrel  # noqa: F401
    except ImportError as error:
        return error.name
    return None


needs_spandrel = pytest.mark.skipif(
    spandrel_is_missing() is not None,
    reason="the spandrel extra is not installed: pip install 'polyphony[spandrel]'",
)


def save_compact(folder: Path, *, scale: int = 2) -> Path:
    """The state of SRVGGNetCompact with one inner convolution."""
    torch.manual_seed(0)
    last_channels = 3 * scale * scale
    shapes = {
        "body.0.weight": (FEATURES, 3, 3, 3),
        "body.0.bias": (FEATURES,),
        "body.1.weight": (FEATURES,),
        "body.2.weight": (FEATURES, FEATURES, 3, 3),
        "body.2.bias": (FEATURES,),
        "body.3.weight": (FEATURES,),
        "body.4.weight": (last_channels, FEATURES, 3, 3),
        "body.4.bias": (last_channels,),
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: torch.randn(shape) * 0.1 for name, shape in shapes.items()},
        folder / "compact.safetensors",
    )
    return folder


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


def engine_of(path: Path | None, blobs: FsspecBlobStore, **options: Any) -> SpandrelUpscaling:
    return SpandrelUpscaling(
        SpandrelOptions(device="cpu", threads=1, **options), MODEL, path=path, blobs=blobs
    )


async def upscaled(
    engine: SpandrelUpscaling, blobs: FsspecBlobStore, image: Image.Image, scale: Any
) -> Image.Image:
    blob = await stored(blobs, image)
    result = await last(engine.upscale(UpscaleImage(model="tiny", image=blob, scale=scale)))
    assert result.engine == "spandrel"
    return await image_of(blobs, result.image)


@needs_spandrel
@pytest.mark.parametrize("scale", [2, 3, 4, 8])
async def test_exact_sizes(tmp_path: Path, blobs: FsspecBlobStore, scale: int) -> None:
    engine = engine_of(save_compact(tmp_path / "compact"), blobs, tile_px=32, overlap_px=8)
    assert (await upscaled(engine, blobs, gradient(41, 1), scale)).size == (41 * scale, scale)


@needs_spandrel
async def test_tiles_give_what_the_whole_gives(tmp_path: Path, blobs: FsspecBlobStore) -> None:
    path = save_compact(tmp_path / "compact")
    whole = await upscaled(engine_of(path, blobs, tile_px=512), blobs, gradient(75, 61), 2)
    tiled = engine_of(path, blobs, tile_px=32, overlap_px=8)
    parts = await upscaled(tiled, blobs, gradient(75, 61), 2)
    # Three convolutions see three pixels far, which is less than the overlap.
    difference = np.abs(np.asarray(whole, int) - np.asarray(parts, int))
    assert difference.max() <= 1


@needs_spandrel
async def test_weights_of_no_known_architecture(tmp_path: Path, blobs: FsspecBlobStore) -> None:
    save_file({"something": torch.zeros(1)}, tmp_path / "odd.safetensors")
    with pytest.raises(BackendUnavailable, match="cannot be loaded by spandrel"):
        engine_of(tmp_path / "odd.safetensors", blobs)


@needs_spandrel
async def test_a_file_that_unpickles_into_something_else(
    tmp_path: Path, blobs: FsspecBlobStore
) -> None:
    (tmp_path / "evil.pth").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(BackendUnavailable, match="cannot be loaded by spandrel"):
        engine_of(tmp_path, blobs)


@pytest.mark.skipif(spandrel_is_missing() is None, reason="the spandrel extra is installed")
def test_without_spandrel_it_says_what_to_install(tmp_path: Path, blobs: FsspecBlobStore) -> None:
    with pytest.raises(BackendUnavailable, match=r"needs '(spandrel|torchvision)'.*\[spandrel\]"):
        engine_of(tmp_path, blobs)


def test_which_file_holds_the_weights(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match="'tiny' has no weights file"):
        weights_file(tmp_path, MODEL)
    for name in ("a.pth", "readme.md"):
        (tmp_path / name).touch()
    assert weights_file(tmp_path, MODEL).name == "a.pth"
    (tmp_path / "b.pth").touch()
    with pytest.raises(BackendUnavailable, match=r"several weights files \(a.pth, b.pth\)"):
        weights_file(tmp_path, MODEL)
    assert weights_file(tmp_path / "b.pth", MODEL).name == "b.pth"
    (tmp_path / "a.safetensors").touch()
    assert weights_file(tmp_path, MODEL).name == "a.safetensors"
