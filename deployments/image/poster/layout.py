"""Where the things of a poster are, how large and of which colour: it follows from the seed."""

import random
from dataclasses import dataclass, replace

from deployments.image.poster.backdrops import ground_of, horizon_of, shaded
from deployments.image.poster.prompts import Colour, Poster, Thing

Pair = tuple[int, int]

PALETTE: tuple[Colour, ...] = (
    (226, 110, 84), (242, 178, 74), (110, 160, 120), (92, 140, 190), (170, 120, 170),
    (226, 150, 160), (190, 150, 110),
)  # fmt: skip
OWN: dict[str, Colour] = {
    "🦊": (236, 128, 52), "🏮": (236, 84, 60), "🌲": (60, 130, 80), "🌳": (84, 156, 80),
    "🌴": (84, 156, 80), "🌵": (84, 156, 80), "🌙": (250, 228, 140), "🌛": (250, 228, 140),
    "☀": (252, 208, 70), "⭐": (252, 214, 80), "☁": (250, 250, 252), "❤": (222, 50, 60),
    "☃": (250, 250, 252), "⛄": (250, 250, 252), "🐻": (158, 110, 72), "🐕": (204, 160, 110),
    "🐈": (226, 160, 90), "🐇": (222, 214, 206), "🐺": (150, 156, 168), "🦉": (160, 124, 90),
    "🐦": (100, 160, 220), "🐟": (90, 170, 210), "🐸": (110, 180, 80), "🐢": (100, 160, 90),
    "🐳": (96, 150, 206), "🐖": (240, 170, 180), "🐑": (244, 240, 232), "🐘": (160, 166, 178),
    "🦁": (230, 176, 80), "🐅": (240, 150, 60), "🔥": (248, 130, 40), "🍎": (214, 48, 49),
    "🌷": (232, 90, 130), "🌹": (214, 48, 70), "🌻": (250, 200, 60), "⛵": (246, 240, 226),
    "🏰": (190, 186, 196), "🏠": (232, 196, 150), "🌊": (70, 150, 200), "🦌": (180, 130, 90),
}  # fmt: skip
TREE = "🌲"
TREES: tuple[Colour, ...] = ((40, 92, 58), (52, 110, 66), (34, 80, 52))
SKIN: tuple[Colour, ...] = ((250, 214, 180), (232, 184, 140), (198, 144, 102), (140, 96, 68))
FUR: tuple[Colour, ...] = ((196, 160, 118), (158, 118, 82), (166, 168, 176), (214, 190, 150))
PEOPLE = (range(0x1F466, 0x1F47A), range(0x1F9D1, 0x1F9DE), range(0x1F930, 0x1F940))
ANIMALS = (range(0x1F400, 0x1F440), range(0x1F980, 0x1F9AF))
ALOFT = frozenset("☀☁⭐🌙🌛🌝🌞🌟🌈🌠🎈🪁🚀🛸✈🐦🕊🦅🦇🦋🐝🪐🌍🌕🌑⚡🚁🛩🎆🎇☄🌌❄🐉🦆🪂")
LARGE = frozenset("🏰🏠🏡🌲🌳🌴🏭🏢🗼⛪🕌🛕⛩🌋🗻🏔⛰🚢🎡🎢🎠🐘🐋🐳🦕🦖🐉🌉🏯🗽🗿")
LITTLE = frozenset("🏮🕯🔑🔥🌷🌹🌻🍎📖✉🎁👑🔦🗡💎🍄🐁🐝🦋🐞🐜🐌🍂🍁🍃🎂☕🌱🥀🌸🐚🍞🥚🔔🎩")
GLOWING = frozenset("🏮🕯🔥🔦☀🌙🌛🌕⭐🌟🌞🌝💡🪔🎇🎆🌠")
ALONE, FEW, MANY = 0.54, 0.44, 0.32
"""The side of the main thing, as a share of the image's shorter one."""
SHOWN_MOST = 24


@dataclass(frozen=True)
class Placed:
    """A figure whose lower edge stands at `foot`; its middle is at `x`. In pixels."""

    symbol: str
    colour: Colour
    x: float
    foot: float
    side: int
    is_mirrored: bool = False
    glows: bool = False


def placed(poster: Poster, size: Pair, seed: int) -> list[Placed]:
    """The figures, those behind first."""
    chance = random.Random(seed + 2)
    things = _shown(poster)
    total = sum(thing.count for thing in things)
    unit = (ALONE if total == 1 else FEW if total <= 4 else MANY) * min(size)
    aloft = [thing for thing in things if _is_aloft(thing)]
    standing = [thing for thing in things if thing not in aloft]
    figures: list[Placed] = []
    for group in (aloft, standing):
        count = sum(thing.count for thing in group)
        places = iter(_places(group, count, chance))
        for thing in group:
            main = 1.0 if thing is things[0] or group is aloft else 0.8
            for _ in range(thing.count):
                x = next(places)
                figures.append(_figure(thing, poster, size, unit * main, x, chance))
    figures.sort(key=lambda figure: figure.foot)
    return _trees(poster, size, chance) + figures


def _trees(poster: Poster, size: Pair, chance: random.Random) -> list[Placed]:
    """What makes a forest, behind everything."""
    if ground_of(poster) != "forest":
        return []
    width, height = size
    trees = [
        Placed(
            symbol=TREE,
            colour=shaded(chance.choice(TREES), poster.hour),
            x=width * (number + chance.uniform(0, 1)) / 9,
            foot=height * (horizon_of(poster) + chance.uniform(0.02, 0.16)),
            side=round(min(size) * chance.uniform(0.34, 0.5)),
        )
        for number in range(9)
    ]
    return sorted(trees, key=lambda tree: tree.foot)


def _shown(poster: Poster) -> list[Thing]:
    left, shown = SHOWN_MOST, []
    for thing in poster.things:
        if left > 0:
            shown.append(replace(thing, count=min(thing.count, left)))
            left -= thing.count
    return shown


def _is_aloft(thing: Thing) -> bool:
    return thing.height == "top" or (thing.symbol in ALOFT and thing.height is None)


def _places(things: list[Thing], count: int, chance: random.Random) -> list[float]:
    """From 0 to 1, one for each figure, evenly and a little askew; those of things with a side are
    on it.
    """
    slots = [
        (number + 0.5 + chance.uniform(-0.18, 0.18)) / max(1, count) for number in range(count)
    ]
    chance.shuffle(slots)
    order = iter(slots)
    found = []
    for thing in things:
        for _ in range(thing.count):
            slot = next(order)
            match thing.side:
                case "left":
                    slot = 0.12 + 0.26 * slot
                case "right":
                    slot = 0.62 + 0.26 * slot
                case "middle":
                    slot = 0.42 + 0.16 * slot
            found.append(slot)
    return found


def _figure(
    thing: Thing, poster: Poster, size: Pair, unit: float, x: float, chance: random.Random
) -> Placed:
    width, height = size
    kind = 1.25 if thing.symbol in LARGE else 0.55 if thing.symbol in LITTLE else 1.0
    is_aloft = _is_aloft(thing)
    scale = thing.size * kind * (0.6 if is_aloft and thing.size <= 1 else 1.0)
    horizon = horizon_of(poster)
    if thing.height == "far":
        scale, foot = scale * 0.45, horizon + 0.03
    elif ground_of(poster) in ("sky", "space") and thing.height is None:
        foot = chance.uniform(0.3, 0.9)
    elif is_aloft:
        foot = chance.uniform(0.24, 0.4)
    else:
        depth = 0.9 if thing.height == "bottom" else 0.3 if thing.symbol in LARGE else 0.62
        foot = horizon + (1 - horizon) * (depth + chance.uniform(-0.12, 0.12))
    side = max(8, round(min(unit * scale, 0.9 * min(size))))
    margin = side / 2
    middle = min(max(x * width, margin), max(margin, width - margin))
    return Placed(
        symbol=thing.symbol,
        colour=_colour(thing, poster, chance),
        x=middle,
        foot=max(side, foot * height) if is_aloft else foot * height,
        side=side,
        is_mirrored=chance.random() < 0.5,
        glows=thing.symbol in GLOWING and poster.hour in ("night", "sunset"),
    )


def _colour(thing: Thing, poster: Poster, chance: random.Random) -> Colour:
    code = ord(thing.symbol[0])
    is_person = any(code in part for part in PEOPLE)
    is_animal = any(code in part for part in ANIMALS)
    other = chance.choice(SKIN if is_person else FUR if is_animal else PALETTE)
    if thing.symbol in GLOWING:
        return thing.colour or OWN.get(thing.symbol, (252, 214, 80))
    colour = thing.colour or OWN.get(thing.symbol, other)
    if poster.hour != "night":
        return colour
    # At night, colours are told apart all the same.
    dark = shaded(colour, "night")
    red, green, blue = (round(0.6 * a + 0.4 * b) for a, b in zip(colour, dark, strict=True))
    return red, green, blue
