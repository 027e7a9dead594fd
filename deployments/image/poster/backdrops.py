"""Backdrops of posters: a sky, a ground, and what falls or shines."""

import random
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from deployments.image.poster.prompts import Colour, Ground, Hour, Poster, Weather
from deployments.image.poster.symbols import stands

Curve = np.ndarray[Any, np.dtype[np.float32]]
Pair = tuple[int, int]

SKIES: dict[Hour, tuple[Colour, Colour]] = {
    "day": ((110, 180, 235), (225, 240, 250)),
    "sunset": ((84, 70, 140), (250, 170, 110)),
    "night": ((14, 18, 52), (52, 62, 120)),
}
SPACE: tuple[Colour, Colour] = ((8, 8, 28), (40, 20, 70))
PLAIN: tuple[tuple[Colour, Colour], ...] = (
    ((250, 224, 190), (244, 184, 150)), ((205, 230, 226), (150, 200, 196)),
    ((226, 216, 240), (180, 168, 214)), ((248, 236, 200), (228, 204, 140)),
)  # fmt: skip
GROUNDS: dict[Ground, tuple[Colour, ...]] = {
    "sea": ((70, 150, 200), (44, 120, 180), (26, 90, 150)),
    "beach": ((70, 150, 200), (44, 120, 180), (236, 208, 150)),
    "snow": ((214, 226, 240), (232, 240, 248), (248, 250, 253)),
    "forest": ((70, 120, 80), (50, 100, 62), (38, 82, 50)),
    "city": ((120, 124, 138), (92, 96, 110)),
    "desert": ((236, 204, 140), (226, 184, 112), (212, 164, 92)),
    "mountains": ((150, 164, 186), (110, 130, 150), (92, 140, 92)),
    "meadow": ((140, 194, 110), (112, 176, 90), (88, 156, 74)),
    "room": ((190, 150, 112), (168, 126, 90)),
}
HORIZON: dict[Ground, float] = {"sky": 1.0, "space": 1.0, "plain": 0.72, "room": 0.7, "sea": 0.58,
                             "beach": 0.58}  # fmt: skip
USUAL_HORIZON = 0.62
SHADES: dict[Hour, tuple[Colour, float]] = {
    "day": ((255, 255, 255), 0.0),
    "sunset": ((120, 60, 80), 0.25),
    "night": ((18, 22, 60), 0.6),
}
"""What everything on the ground turns to, and how far."""
FINER = 2
FLOOR = 0.88
"""How bright the floor is, beside the wall."""


def horizon_of(poster: Poster) -> float:
    """Where the ground begins, as a share of the height."""
    return HORIZON.get(ground_of(poster), USUAL_HORIZON)


def ground_of(poster: Poster) -> Ground:
    """What it stands on; night and weather alone are seen under a sky. What cannot swim is on the
    shore of a sea.
    """
    if poster.ground == "sea" and any(stands(thing) for thing in poster.things):
        return "beach"
    if poster.ground is not None:
        return poster.ground
    if poster.weather == "snowfall":
        return "snow"
    return "plain" if poster.hour is None and poster.weather is None else "meadow"


def backdrop(poster: Poster, size: Pair, seed: int) -> Image.Image:
    """RGB. What is drawn follows from the seed."""
    chance = random.Random(seed)
    ground, hour = ground_of(poster), poster.hour or "day"
    image = _sky(ground, hour, size, chance)
    if ground == "space" or (hour == "night" and poster.weather != "fog"):
        _dots(image, chance, count=140, radius=0.0016, to=1.0, opacity=220)
    top = horizon_of(poster)
    if ground == "city":
        _buildings(image, chance, top, hour)
    if ground == "mountains":
        _peaks(image, chance, top, hour)
    for number, colour in enumerate(GROUNDS.get(ground, ())):
        layer = top + (1 - top) * number / 3.2
        is_water = ground == "sea" or (ground == "beach" and number < 2)
        edge = _curve("sea" if is_water else ground, layer, size, chance)
        _stripe(image, shaded(colour, hour), edge)
    if ground == "plain" and poster.things:
        _stripe(image, _floor(image), _curve(ground, top, size, chance))
    return image


def weathered(image: Image.Image, weather: Weather | None, seed: int) -> Image.Image:
    """What is before everything else."""
    chance = random.Random(seed + 1)
    if weather == "snowfall":
        for radius, count in ((0.0035, 90), (0.006, 45), (0.01, 16)):
            _dots(image, chance, count=count, radius=radius, to=1.0, opacity=235)
    elif weather == "rain":
        _streaks(image, chance)
    elif weather == "fog":
        veil = Image.linear_gradient("L").resize(image.size).point([v * 3 // 4 for v in range(256)])
        image.paste((226, 230, 236), mask=veil)
    return image


def shaded(colour: Colour, hour: Hour | None) -> Colour:
    """A colour of the ground at that hour."""
    other, share = SHADES[hour or "day"]
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def _sky(ground: Ground, hour: Hour, size: Pair, chance: random.Random) -> Image.Image:
    above, below = SKIES[hour]
    if ground == "space":
        above, below = SPACE
    elif ground in ("plain", "room") and hour == "day":
        above, below = chance.choice(PLAIN)
    share = np.linspace(0, 1, size[1], dtype=np.float32)[:, None]
    column = np.array(above, np.float32) * (1 - share) + np.array(below, np.float32) * share
    return Image.fromarray(column.round().astype(np.uint8)[:, None, :]).resize(size)


def _floor(image: Image.Image) -> Colour:
    """Darker than what is at the bottom."""
    red, green, blue = image.getpixel((0, image.height - 1))  # type: ignore[misc]
    return round(red * FLOOR), round(green * FLOOR), round(blue * FLOOR)


def _curve(ground: Ground, top: float, size: Pair, chance: random.Random) -> Curve:
    """The height of an edge at every column, in pixels."""
    width, height = size
    x = np.linspace(0, 1, width, dtype=np.float32)
    if ground in ("city", "room"):
        return np.full(width, top * height, np.float32)
    waves, swing = (9.0, 0.008) if ground == "sea" else (1.6, 0.045)
    edge = sum(
        np.sin(2 * np.pi * (x * waves * chance.uniform(0.6, 1.4) + chance.random())) / number
        for number in (1, 2)
    )
    return np.asarray((top + swing * edge) * height, np.float32)


def _stripe(image: Image.Image, colour: Colour, edge: Curve) -> None:
    """Everything below the edge."""
    first = max(0, int(edge.min()) - 1)
    rows = np.arange(first, image.height, dtype=np.float32)[:, None]
    cover = np.clip(rows - edge[None] + 0.5, 0, 1)
    image.paste(colour, (0, first), Image.fromarray((255 * cover).astype(np.uint8)))


def _dots(
    image: Image.Image,
    chance: random.Random,
    *,
    count: int,
    radius: float,
    to: float,
    opacity: int,
) -> None:
    width, height = image.size
    layer = Image.new("L", (FINER * width, FINER * height))
    draw = ImageDraw.Draw(layer)
    for _ in range(count):
        x, y = chance.random() * layer.width, chance.random() * to * layer.height
        r = max(0.7, radius * min(layer.size) * chance.uniform(0.6, 1.3))
        draw.ellipse((x - r, y - r, x + r, y + r), fill=round(opacity * chance.uniform(0.5, 1)))
    image.paste((255, 255, 250), mask=layer.reduce(FINER))


def _streaks(image: Image.Image, chance: random.Random) -> None:
    width, height = image.size
    layer = Image.new("L", (FINER * width, FINER * height))
    draw = ImageDraw.Draw(layer)
    length = 0.05 * layer.height
    for _ in range(160):
        x, y = chance.random() * layer.width, chance.random() * layer.height
        line = max(1, min(layer.size) // 300)
        draw.line((x, y, x - length / 4, y + length), fill=150, width=line)
    image.paste((206, 220, 238), mask=layer.reduce(FINER))


def _buildings(image: Image.Image, chance: random.Random, top: float, hour: Hour) -> None:
    width, height = image.size
    draw = ImageDraw.Draw(image)
    left = 0.0
    while left < width:
        wide = width * chance.uniform(0.07, 0.13)
        roof = height * (top - chance.uniform(0.12, 0.42))
        colour = shaded(chance.choice(((150, 120, 120), (120, 130, 150), (170, 150, 130))), hour)
        draw.rectangle((left, roof, left + wide, height * top + 1), fill=colour)
        _windows(draw, chance, (left, roof, left + wide, height * top), hour)
        left += wide * chance.uniform(1.0, 1.2)


def _windows(
    draw: Any, chance: random.Random, box: tuple[float, float, float, float], hour: Hour
) -> None:
    left, top, right, bottom = box
    step = (right - left) / 4
    lit, dark = (255, 224, 130), (66, 74, 96)
    for row in range(int((bottom - top) / step / 1.3)):
        for column in range(3):
            x, y = left + step * (column + 0.7), top + step * (0.6 + 1.3 * row)
            is_lit = chance.random() < (0.65 if hour != "day" else 0.15)
            draw.rectangle((x, y, x + step * 0.55, y + step * 0.7), fill=lit if is_lit else dark)


def _peaks(image: Image.Image, chance: random.Random, top: float, hour: Hour) -> None:
    width, height = image.size
    mask = Image.new("L", (FINER * width, FINER * height))
    snow = Image.new("L", mask.size)
    for number in range(5):
        middle = (number + chance.uniform(0.1, 0.9)) / 5 * mask.width
        tip = mask.height * (top - chance.uniform(0.2, 0.42))
        half = mask.width * chance.uniform(0.14, 0.22)
        foot = mask.height * (top + 0.1)
        ImageDraw.Draw(mask).polygon(
            [(middle - half, foot), (middle, tip), (middle + half, foot)], fill=255
        )
        cap = (foot - tip) * 0.25
        edge = [(middle, tip), (middle + half * 0.25, tip + cap), (middle, tip + cap * 0.75),
                (middle - half * 0.25, tip + cap)]  # fmt: skip
        ImageDraw.Draw(snow).polygon(edge, fill=255)
    image.paste(shaded((120, 134, 160), hour), mask=mask.reduce(FINER))
    image.paste(shaded((250, 252, 255), hour), mask=ImageChops.darker(snow, mask).reduce(FINER))
