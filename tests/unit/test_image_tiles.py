"""Tiles, passes and exact sizes, with networks that repeat pixels."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from deployments.media.image_tiles import (
    EnlargedImage,
    Pixels,
    TileNetwork,
    Tiling,
    enlarged,
    padded,
    passes,
    tiles,
)
from serve_app.core.message import Progress
from tests.notices import texts_of

SMALL = Tiling(tile_px=32, overlap_px=6, step_px=4)


def repeating(scale: int) -> TileNetwork:
    return TileNetwork(scale, lambda tile: tile.repeat(scale, 0).repeat(scale, 1))


def noise(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def run(
    image: Image.Image, wanted: int, network: TileNetwork, tiling: Tiling = SMALL
) -> EnlargedImage:
    *_, end = enlarged(image, wanted, network, tiling)
    assert isinstance(end, EnlargedImage)
    return end


@pytest.mark.parametrize(("width", "height"), [(1, 1), (31, 1), (16, 16), (45, 70), (128, 33)])
def test_inner_boxes_cover_an_image_once(width: int, height: int) -> None:
    count = np.zeros((height, width), int)
    for tile in tiles(width, height, SMALL):
        left, top, right, bottom = tile.inner
        count[top:bottom, left:right] += 1
        assert tile.outer[0] % 4 == tile.outer[1] % 4 == 0
        assert tile.outer[2] - tile.outer[0] <= 32
        assert tile.outer[3] - tile.outer[1] <= 32
        assert left - tile.outer[0] in (0, 8)
    assert (count == 1).all()


def test_a_step_larger_than_a_tile_still_covers() -> None:
    found = tiles(100, 10, Tiling(tile_px=32, overlap_px=8, step_px=64))
    assert [tile.inner[0] for tile in found] == [0, 64]


@pytest.mark.parametrize(
    ("scale", "wanted", "factors"),
    [
        (1, 4, (1,)),
        (2, 2, (2,)),
        (2, 3, (2, 2)),
        (2, 4, (2, 2)),
        (2, 8, (2, 2, 2)),
        (3, 2, (2,)),
        (3, 3, (3,)),
        (3, 4, (3,)),
        (3, 8, (3, 3)),
        (4, 2, (2,)),
        (4, 3, (3,)),
        (4, 8, (4, 2)),
        (8, 2, (2,)),
        (8, 8, (8,)),
        (16, 8, (8,)),
    ],
)
def test_passes(scale: int, wanted: int, factors: tuple[int, ...]) -> None:
    assert passes(scale, wanted) == factors


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("wanted", [2, 3, 4, 8])
@pytest.mark.parametrize("size", [(1, 1), (37, 5)])
def test_sizes_are_exact_whatever_the_network_does(
    scale: int, wanted: int, size: tuple[int, int]
) -> None:
    end = run(noise(*size), wanted, repeating(scale))
    assert end.image.size == (size[0] * wanted, size[1] * wanted)
    assert bool(end.warnings) == (scale != wanted)


def test_what_was_done_is_said() -> None:
    image = noise(4, 4)
    assert texts_of(run(image, 4, repeating(2)).warnings) == (
        "scale: the model enlarges 2 times; 2 passes",
    )
    assert texts_of(run(image, 2, repeating(4)).warnings) == (
        "scale: the model enlarges 4 times; one pass, resized to 2 times",
    )


def test_tiles_join_without_a_trace() -> None:
    image = noise(75, 61)
    whole = run(image, 2, repeating(2), Tiling(tile_px=1000, overlap_px=6)).image
    parts = run(image, 2, repeating(2)).image
    assert np.array_equal(np.asarray(whole), np.asarray(parts))


def test_a_pass_that_is_made_smaller_joins_without_a_trace() -> None:
    image = noise(75, 61)
    whole = run(image, 2, repeating(4), Tiling(tile_px=1000, overlap_px=6)).image
    parts = run(image, 2, repeating(4)).image
    assert np.array_equal(np.asarray(whole), np.asarray(parts))


def test_a_network_sees_no_more_than_a_tile() -> None:
    seen: list[tuple[int, ...]] = []

    def watch(tile: Pixels) -> Pixels:
        seen.append(tile.shape)
        return tile.repeat(2, 0).repeat(2, 1)

    run(noise(300, 200), 4, TileNetwork(2, watch))
    assert max(max(shape) for shape in seen) <= 32


def test_progress_counts_the_tiles_of_every_pass() -> None:
    *progress, _ = enlarged(noise(40, 40), 4, repeating(2), SMALL)
    assert all(isinstance(item, Progress) for item in progress)
    counts = [item.current for item in progress if isinstance(item, Progress)]
    assert counts[0] == 1
    assert all(after == before + 1 for before, after in pairwise(counts))
    assert {item.total for item in progress if isinstance(item, Progress)} == {counts[-1]}


def test_padding_mirrors_even_a_single_pixel() -> None:
    one = np.array([[[1, 2, 3]]], np.uint8)
    assert padded(one, 4).shape == (4, 4, 3)
    assert (padded(one, 4) == one).all()
    row = np.arange(3, dtype=np.uint8).reshape(1, 3, 1).repeat(3, axis=2)
    assert padded(row, 4)[0, :, 0].tolist() == [0, 1, 2, 2]


def test_resizing_needs_no_torch() -> None:
    script = "import sys, deployments.image.lanczos_upscaling; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
