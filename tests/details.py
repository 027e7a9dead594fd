"""Drawn images that are full of detail: what a smaller version of them should be made into."""

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tests.scenes import Array

SIDE_PX = 256
FINER = 4
"""Drawn this many times as large, so that edges are smooth."""
WORDS = "The quick brown fox jumps over the lazy dog while seven wizards mix a potion. "


def page() -> Image.Image:
    """Text in several sizes, dark on light."""
    side = SIDE_PX * FINER
    image = Image.new("RGB", (side, side), (244, 238, 222))
    draw = ImageDraw.Draw(image)
    top = 10.0 * FINER
    for number, size in enumerate((26, 20, 34, 24, 44, 22)):
        font = ImageFont.load_default(size * FINER)
        draw.text((-7 * number * FINER, top), WORDS, (40, 30 + 9 * number, 60), font)
        top += 1.45 * size * FINER
    return _small(image)


def town() -> Image.Image:
    """Houses with windows under an evening sky."""
    side = SIDE_PX * FINER
    random = np.random.default_rng(3)
    rows = np.linspace(0, 1, side)[:, None, None]
    sky = np.float64((40, 60, 120)) * (1 - rows) + np.float64((250, 170, 110)) * rows
    image = Image.fromarray(np.broadcast_to(sky, (side, side, 3)).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for number in range(14):
        left, width = side * number // 13 - 40, int(random.integers(110, 190))
        top = int(random.integers(side // 5, side // 2))
        shade = tuple(int(v) for v in random.integers(30, 120, 3))
        draw.rectangle((left, top, left + width, side), fill=shade)
        draw.polygon([(left, top), (left + width / 2, top - 90), (left + width, top)], fill=shade)
        for y in range(top + 14, side, 44):
            for x in range(left + 12, left + width - 24, 36):
                lit = (255, 226, 140) if random.random() < 0.6 else (20, 24, 40)
                draw.rectangle((x, y, x + 20, y + 26), fill=lit)
    return _small(image)


def leaves() -> Image.Image:
    """Leaves with veins, over each other."""
    side = SIDE_PX * FINER
    random = np.random.default_rng(5)
    image = Image.new("RGB", (side, side), (30, 60, 30))
    draw = ImageDraw.Draw(image)
    for _ in range(160):
        x, y, turn = random.random(3) * (side, side, math.tau)
        length = 90 + 120 * random.random()
        green = (60 + int(90 * random.random()), 110 + int(110 * random.random()), 50)
        along = np.array((math.cos(turn), math.sin(turn))) * length
        across = np.array((-along[1], along[0])) * 0.35
        start = np.array((x, y))
        edge = [start, start + along * 0.4 + across, start + along, start + along * 0.4 - across]
        draw.polygon([(float(a), float(b)) for a, b in edge], fill=green)
        end = start + along
        draw.line((x, y, float(end[0]), float(end[1])), fill=(30, 70, 30), width=6)
    return _small(image)


def rings() -> Image.Image:
    """Coloured rings that are cut by rays."""
    side = SIDE_PX * FINER
    y, x = np.mgrid[0:side, 0:side] / side - 0.5
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    stripes = np.sin(radius * 140) > 0
    rays = np.sin(angle * 24 + radius * 9) > 0
    colours: Array = np.zeros((side, side, 3))
    for mask, colour in (
        (stripes & rays, (230, 80, 60)),
        (stripes & ~rays, (250, 220, 120)),
        (~stripes & rays, (40, 70, 140)),
        (~stripes & ~rays, (120, 180, 200)),
    ):
        colours[mask] = colour
    return _small(Image.fromarray(colours.astype(np.uint8)))


DETAILED: dict[str, Callable[[], Image.Image]] = {
    "page": page,
    "town": town,
    "leaves": leaves,
    "rings": rings,
}


def likeness_db(image: Image.Image, truth: Image.Image, *, border_px: int = 8) -> float:
    """Peak signal-to-noise ratio away from the border."""
    inner = np.s_[border_px:-border_px, border_px:-border_px]
    difference = np.asarray(image, float)[inner] - np.asarray(truth, float)[inner]
    return float(10 * np.log10(255**2 / (difference**2).mean()))


def _small(image: Image.Image) -> Image.Image:
    return image.resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX)
