"""What two eyes see of images whose depth is made by hand, and depth that is steady in time."""

from typing import Any

import numpy as np
import pytest

from deployments.video.steady_depth import SteadyDepth, stretched
from deployments.video.stereo_views import stereo_pair
from tests.videos import landscape

RED = (255, 0, 0)


def scene(width: int = 200, height: int = 100) -> tuple[Any, Any]:
    """A red square, 40 by 40 at 80, 30, near before a far landscape without red."""
    image = landscape(width, height)
    image[..., 0] //= 4
    image[30:70, 80:120] = RED
    near = np.zeros((height, width), dtype=np.float32)
    near[30:70, 80:120] = 1
    return image, near


def is_red(image: Any) -> Any:
    values = image.astype(int)
    return values[..., 0] - values[..., 1] - values[..., 2] > 150


def square(left: int) -> Any:
    seen = np.zeros((100, 200), dtype=bool)
    seen[30:70, left : left + 40] = True
    return seen


def test_a_near_square_moves_in_opposite_directions_before_a_background_that_stays() -> None:
    image, near = scene()
    left, right = stereo_pair(image, near, parallax_px=12)
    assert (is_red(left) == square(86)).all()
    assert (is_red(right) == square(74)).all()
    # What both eyes see of the background is where it was, to the last bit.
    for view, moved in ((left, square(86)), (right, square(74))):
        kept = ~(moved | square(80))
        assert (view[kept] == image[kept]).all()


def test_what_comes_into_sight_is_filled_from_the_background() -> None:
    image, near = scene()
    left, right = stereo_pair(image, near, parallax_px=12)
    # Beside the square, six columns mirror the six before them.
    assert (left[30:70, 80:86] == image[30:70, 74:80][:, ::-1]).all()
    assert (right[30:70, 114:120] == image[30:70, 120:126][:, ::-1]).all()


def test_a_background_that_is_narrower_than_the_gap_shows_nothing_nearer() -> None:
    image, near = scene()
    # Another near thing, which is three columns away from the square: the strip between is green.
    image[30:70, 60:77], near[30:70, 60:77] = RED, 1
    image[30:70, 77:80] = (0, 255, 0)
    left, _ = stereo_pair(image, near, parallax_px=12)
    gap = left[50, 83:86]
    assert not is_red(gap).any()
    assert (gap == (0, 255, 0)).all()


def test_half_pixels_count() -> None:
    ramp = np.repeat(np.arange(0, 200, 2, dtype=np.uint8), 3).reshape(1, 100, 3)
    image = np.repeat(ramp, 4, axis=0)
    near = np.full((4, 100), 1, dtype=np.float32)
    left, right = stereo_pair(image, near, parallax_px=1)
    assert (left[:, 1:-1].astype(int) == image[:, 1:-1].astype(int) - 1).all()
    assert (right[:, 1:-1].astype(int) == image[:, 1:-1].astype(int) + 1).all()


def test_a_slope_has_no_holes_through_which_the_background_shines() -> None:
    image = np.zeros((6, 300, 3), dtype=np.uint8)
    image[:, 100:200] = RED
    near = np.zeros((6, 300), dtype=np.float32)
    near[:, 100:200] = np.linspace(0.3, 1, 100)
    for view in stereo_pair(image, near, parallax_px=80):
        (columns,) = np.nonzero(is_red(view[3]))
        assert columns.max() - columns.min() + 1 == len(columns)
        assert len(columns) > 60


def test_without_depth_both_eyes_see_the_video() -> None:
    image, near = scene()
    for view in stereo_pair(image, near * 0, parallax_px=12):
        assert (view == image).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (33, 47), (64, 2)])
def test_every_size_has_no_holes(size: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    image = generator.integers(100, 200, (*size, 3)).astype(np.uint8)
    near = generator.random((16, 16)).astype(np.float32)
    for view in stereo_pair(image, near, parallax_px=20):
        assert view.shape == image.shape
        assert view.min() >= 100


def test_many_rows_are_as_few() -> None:
    image, near = scene()
    few = stereo_pair(image, near, parallax_px=12)
    many = stereo_pair(np.tile(image, (120, 1, 1)), np.tile(near, (120, 1)), parallax_px=12)
    for view, repeated in zip(few, many, strict=True):
        assert (np.tile(view, (120, 1, 1)) == repeated).all()


def test_maps_are_stretched_whatever_their_scale() -> None:
    ramp = np.linspace(0, 1, 10_000, dtype=np.float32).reshape(100, 100)
    for scale, shift in ((1, 0), (0.001, 5), (300, -20)):
        near = stretched(ramp * scale + shift)
        assert np.abs(near - ramp).max() < 0.01
    unknown = ramp.copy()
    unknown[0, :50] = np.nan
    assert (stretched(unknown)[0, :50] == 0).all()
    # A thing so small that it is no more than an outlier is seen where there is nothing else.
    small = np.zeros((100, 100), dtype=np.float32)
    small[3, 3] = 7
    assert stretched(small)[3, 3] == 1
    for flat in (ramp * 0, ramp * np.nan):
        assert not stretched(flat).any()


def noisy(near: Any, number: int) -> Any:
    """As a model sees it that looks at every frame anew."""
    generator = np.random.default_rng(number)
    map_ = (near + generator.normal(0, 0.1, near.shape)) * generator.uniform(1, 3)
    return (map_ + generator.uniform(-2, 2)).astype(np.float32)


def test_depth_does_not_flicker() -> None:
    image, near = scene()
    grey = image[..., 1]
    steady = SteadyDepth()
    maps = [steady.at(noisy(near, i), grey, i / 25) for i in range(40)][10:]
    alone = [stretched(noisy(near, i)) for i in range(40)][10:]

    def flicker(shown: list[Any]) -> float:
        return float(np.abs(np.diff(np.stack(shown), axis=0)).mean())

    assert flicker(maps) < flicker(alone) / 5
    inside, outside = maps[-1][35:65, 85:115], maps[-1][:25]
    assert inside.mean() - outside.mean() > 0.4
    assert not steady.is_flat


def test_depth_moves_with_what_is_seen() -> None:
    image, near = scene()
    steady = SteadyDepth()
    for number in range(12):
        moved = np.roll(near, 4 * number, axis=1)
        last = steady.at(moved, np.roll(image, 4 * number, axis=1)[..., 1], number / 25)
    # Without following the motion, it would drag a tail of several squares' width behind it.
    assert np.abs(last - moved).mean() < 0.02


def test_a_cut_begins_anew() -> None:
    image, near = scene()
    other = 255 - np.roll(image, 60, axis=1)
    steady = SteadyDepth()
    for number in range(5):
        steady.at(near, image[..., 1], number / 25)
    assert np.abs(steady.at(1 - near, other[..., 1], 0.2) - (1 - near)).mean() < 0.1


def test_flat_maps_are_told() -> None:
    steady = SteadyDepth()
    image, near = scene()
    steady.at(near * 0 + 3, image[..., 1], 0)
    assert steady.is_flat
    steady.at(near, image[..., 1], 0.04)
    assert not steady.is_flat
