"""Images piece by piece through a network that enlarges, so that memory is bounded whatever the
image's size, and to exactly the size asked for whatever the network's own factor.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serve_app.core.message import Progress
from serve_app.core.notices import Notice

Pixels = NDArray[np.uint8]
LANCZOS = Image.Resampling.LANCZOS
OVERSHOOT = 2
"""How much larger than wanted, as a factor of a side, another pass may make an image."""


@dataclass(frozen=True)
class TileNetwork:
    """`run` takes a tile (height, width, 3) and returns it `scale` times as large."""

    scale: int
    run: Callable[[Pixels], Pixels]


@dataclass(frozen=True)
class Tiling:
    """Tiles overlap by `overlap_px` on every side, which is thrown away, because a network knows
    little at an image's edge. They begin at multiples of `step_px`, where windows of attention do.
    """

    tile_px: int
    overlap_px: int
    step_px: int = 1


@dataclass(frozen=True)
class Tile:
    """Boxes as (left, top, right, bottom): what is kept and what the network sees."""

    inner: tuple[int, int, int, int]
    outer: tuple[int, int, int, int]


@dataclass(frozen=True)
class EnlargedImage:
    """The end of an enlargement; `warnings` say how it was done if not in one pass."""

    image: Image.Image
    warnings: tuple[Notice, ...] = ()


def enlarged(
    image: Image.Image, wanted: int, network: TileNetwork, tiling: Tiling
) -> Iterator[Progress | EnlargedImage]:
    """Progress in tiles, last the RGB image exactly `wanted` times as large."""
    factors = passes(network.scale, wanted)
    size = (image.width * wanted, image.height * wanted)
    total, reached = 0, 1
    for factor in factors:
        total += len(tiles(image.width * reached, image.height * reached, tiling))
        reached *= factor
    done = 0
    for factor in factors:
        target = Image.new("RGB", (image.width * factor, image.height * factor))
        for tile in tiles(image.width, image.height, tiling):
            _fill(target, image, tile, network, factor)
            done += 1
            yield Progress(phase="upscale", current=done, total=total)
        image = target
    if image.size != size:
        image = image.resize(size, LANCZOS)
    yield EnlargedImage(image, _warnings(network.scale, wanted, factors))


def passes(scale: int, wanted: int) -> tuple[int, ...]:
    """By how much each pass enlarges; what is missing to `wanted`, or too much, is resized then.

    A pass whose factor is less than `scale` is made smaller tile by tile.
    """
    if scale == 1:
        return (1,)
    factors: list[int] = []
    reached = 1
    while reached < wanted:
        missing, rest = divmod(wanted, reached)
        if rest or missing > scale:
            if reached * scale > OVERSHOOT * wanted:
                break
            missing = scale
        factors.append(missing)
        reached *= missing
    return tuple(factors)


def tiles(width: int, height: int, tiling: Tiling) -> list[Tile]:
    """In reading order; their inner boxes cover the image once."""
    overlap = _up(tiling.overlap_px, tiling.step_px)
    inner = max(tiling.tile_px - 2 * overlap, tiling.step_px)
    inner -= inner % tiling.step_px
    return [
        Tile(
            inner=(left, top, min(left + inner, width), min(top + inner, height)),
            outer=(
                max(left - overlap, 0),
                max(top - overlap, 0),
                min(left + inner + overlap, width),
                min(top + inner + overlap, height),
            ),
        )
        for top in range(0, height, inner)
        for left in range(0, width, inner)
    ]


def padded(tile: Pixels, multiple_px: int) -> Pixels:
    """Mirrored at its right and lower edge until both sides are multiples of `multiple_px`."""
    down, right = (-side % multiple_px for side in tile.shape[:2])
    return np.pad(tile, ((0, down), (0, right), (0, 0)), mode="symmetric")


def _fill(
    target: Image.Image, image: Image.Image, tile: Tile, network: TileNetwork, factor: int
) -> None:
    seen = image.crop(tile.outer)
    made = Image.fromarray(network.run(np.asarray(seen)))
    size = (seen.width * factor, seen.height * factor)
    if made.size != size:
        made = made.resize(size, LANCZOS)
    left, top, right, bottom = (side * factor for side in tile.inner)
    x, y = tile.outer[0] * factor, tile.outer[1] * factor
    target.paste(made.crop((left - x, top - y, right - x, bottom - y)), (left, top))


def _warnings(scale: int, wanted: int, factors: tuple[int, ...]) -> tuple[Notice, ...]:
    if factors == (scale,) and scale == wanted:
        return ()
    runs = "one pass" if len(factors) == 1 else f"{len(factors)} passes"
    is_exact = scale ** len(factors) == wanted
    resized = "" if is_exact else f", resized to {wanted} times"
    said = f"the model enlarges {scale} times; {runs}{resized}"
    return (Notice(field="scale", text=said),)


def _up(value: int, step: int) -> int:
    return -(-value // step) * step
