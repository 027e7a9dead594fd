"""Upscaling with networks in ncnn's form: SPAN with its trained weights, and networks of one layer
whose answers are known.
"""

from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deployments.image.ncnn_upscaling import NcnnUpscaling
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.image.upscaling import UpscaledImage, UpscaleImage, UpscaleVideo
from serve_app.core.message import Progress
from serve_app.core.options.image import NcnnOptions
from tests.details import DETAILED, likeness_db
from tests.engine.tiny_vision import gradient, image_of, last, stored
from tests.notices import texts_of
from tests.videos import check_playable, decoded, landscape, write_video
from tests.weights import weights as packaged

MODEL = Model(id="span", source="span")
REPEATING = """7767517
2 2
Input data 0 1 data
Interp up 1 1 data output 0=1 1={0}.0 2={0}.0
"""
"""Repeats every pixel."""


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


@pytest.fixture(scope="module")
def weights() -> Path:
    """SPAN for two and four times."""
    return packaged("span")


@pytest.fixture(scope="module")
def span(
    weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[NcnnUpscaling, FsspecBlobStore]:
    blobs = FsspecBlobStore(tmp_path_factory.mktemp("blobs"))
    return engine_of(weights, blobs), blobs


def engine_of(path: Path | None, blobs: FsspecBlobStore, **options: Any) -> NcnnUpscaling:
    return NcnnUpscaling(NcnnOptions(**options), MODEL, path=path, blobs=blobs)


def repeating(folder: Path, *factors: int) -> Path:
    folder.mkdir(exist_ok=True)
    for factor in factors:
        (folder / f"x{factor}.param").write_text(REPEATING.format(factor))
        (folder / f"x{factor}.bin").touch()
    return folder


async def upscaled(
    engine: NcnnUpscaling, blobs: FsspecBlobStore, image: Image.Image, scale: Any
) -> tuple[UpscaledImage, Image.Image]:
    blob = await stored(blobs, image)
    result = await last(engine.upscale(UpscaleImage(model="span", image=blob, scale=scale)))
    assert isinstance(result, UpscaledImage)
    assert result.engine == "ncnn"
    return result, await image_of(blobs, result.image)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("name", DETAILED)
async def test_details_come_back_better_than_by_resampling(
    span: tuple[NcnnUpscaling, FsspecBlobStore], name: str, scale: int
) -> None:
    truth = DETAILED[name]()
    size = (truth.width // scale, truth.height // scale)
    small = truth.resize(size, Image.Resampling.BICUBIC)
    result, made = await upscaled(*span, small, scale)
    resampled = small.resize(truth.size, Image.Resampling.LANCZOS)
    assert likeness_db(made, truth) > likeness_db(resampled, truth) + 1
    assert not result.warnings


async def test_tiles_give_what_the_whole_gives(weights: Path, blobs: FsspecBlobStore) -> None:
    image = DETAILED["town"]().crop((0, 0, 150, 90))
    _, whole = await upscaled(engine_of(weights, blobs), blobs, image, 2)
    _, parts = await upscaled(engine_of(weights, blobs, tile_px=64), blobs, image, 2)
    difference = np.abs(np.asarray(whole, int) - np.asarray(parts, int))
    assert difference.max() <= 1


async def test_what_is_transparent_stays_so(span: tuple[NcnnUpscaling, FsspecBlobStore]) -> None:
    image = gradient(24, 16).convert("RGBA")
    image.putalpha(Image.new("L", image.size, 90))
    _, made = await upscaled(*span, image, 2)
    assert (made.mode, made.size) == ("RGBA", (48, 32))
    assert made.getchannel("A").getextrema() == (90, 90)


@pytest.mark.parametrize(
    ("scale", "told"),
    [
        (2, ()),
        (3, ("scale: the model enlarges 4 times; one pass, resized to 3 times",)),
        (4, ()),
        (8, ("scale: the model enlarges 4 times; 2 passes, resized to 8 times",)),
    ],
)
async def test_every_factor_by_the_network_that_fits(
    tmp_path: Path, blobs: FsspecBlobStore, scale: int, told: tuple[str, ...]
) -> None:
    engine = engine_of(repeating(tmp_path / "pair", 2, 4), blobs, tile_px=32, overlap_px=8)
    result, made = await upscaled(engine, blobs, gradient(41, 1), scale)
    assert made.size == (41 * scale, scale)
    assert texts_of(result.warnings) == told


async def test_pixels_keep_their_place_and_colour(tmp_path: Path, blobs: FsspecBlobStore) -> None:
    engine = engine_of(repeating(tmp_path / "one", 2), blobs, tile_px=32, overlap_px=4, threads=1)
    image = Image.fromarray(landscape(70, 45))
    _, made = await upscaled(engine, blobs, image, 2)
    assert np.array_equal(np.asarray(made)[::2, ::2], np.asarray(image))
    assert np.array_equal(np.asarray(made)[1::2, 1::2], np.asarray(image))


async def test_progress_in_tiles_and_an_end_between_them(
    tmp_path: Path, blobs: FsspecBlobStore
) -> None:
    engine = engine_of(repeating(tmp_path / "one", 2), blobs, tile_px=32, overlap_px=4)
    request = UpscaleImage(model="span", image=await stored(blobs, gradient(96, 48)), scale=2)
    async with aclosing(engine.upscale(request)) as events:
        first = await anext(events)
        assert isinstance(first, Progress)
        assert (first.phase, first.current, first.total) == ("upscale", 1, 8)
    _, made = await upscaled(engine, blobs, gradient(9, 5), 2)
    assert made.size == (18, 10)


async def test_videos_are_enlarged_frame_by_frame(tmp_path: Path, blobs: FsspecBlobStore) -> None:
    engine = engine_of(repeating(tmp_path / "one", 2), blobs)
    frames = [landscape(64, 48, seed=seed) for seed in range(3)]
    source = write_video(tmp_path / "video.mp4", frames)
    request = UpscaleVideo(model="span", video=await blobs.write_file(source), factor=2)
    result = await last(engine.upscale_video(request))
    data = b"".join([chunk async for chunk in blobs.read(result.video)])
    check_playable(data, size=(128, 96), fps=10, frames=3)
    for seen, given in zip(decoded(data), frames, strict=True):
        large = np.asarray(Image.fromarray(given).resize((128, 96), Image.Resampling.NEAREST), int)
        assert np.abs(seen - large).mean() < 8


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({}, "has no network"),
        ({"a.param": REPEATING.format(2)}, r"has no weights for 'a\.param'"),
        ({"a.param": "no network", "a.bin": ""}, r"a\.param: ncnn cannot load it"),
        ({"a.param": REPEATING.replace("Interp", "Dream"), "a.bin": ""}, "ncnn cannot load it"),
        (
            {"a.param": REPEATING.format(9), "a.bin": ""},
            r"it makes .* of an image of 16 pixels square",
        ),
        (
            {
                f"{name}.{kind}": text
                for name in "ab"
                for kind, text in (("param", REPEATING.format(2)), ("bin", ""))
            },
            "two networks that enlarge 2 times",
        ),
    ],
)
def test_files_that_are_no_network(
    tmp_path: Path, blobs: FsspecBlobStore, files: dict[str, str], told: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(BackendUnavailable, match=told) as caught:
        engine_of(tmp_path, blobs)
    assert str(tmp_path) not in caught.value.message


def test_weights_that_are_cut_off(tmp_path: Path, weights: Path, blobs: FsspecBlobStore) -> None:
    for suffix in (".param", ".bin"):
        content = (weights / f"spanx2_ch48{suffix}").read_bytes()
        (tmp_path / f"a{suffix}").write_bytes(
            content[: len(content) // 2] if suffix == ".bin" else content
        )
    with pytest.raises(BackendUnavailable, match="ncnn cannot load it"):
        engine_of(tmp_path, blobs)


async def test_without_a_source_and_unloaded(tmp_path: Path, blobs: FsspecBlobStore) -> None:
    with pytest.raises(BackendUnavailable, match="has no source"):
        engine_of(None, blobs)
    engine = engine_of(repeating(tmp_path / "one", 2) / "x2.param", blobs)
    await engine.close()
    await engine.close()
    with pytest.raises((BackendUnavailable, RuntimeError)):
        await upscaled(engine, blobs, gradient(4, 4), 2)
