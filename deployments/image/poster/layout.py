"""Where the things of a poster are, how large and of which colour: it follows from the seed."""

import random
from dataclasses import replace

from deployments.image.poster.backdrops import ground_of, horizon_of, shaded
from deployments.image.poster.prompts import Colour, Poster, Thing
from deployments.image.poster.spacing import Pair, Placed, spread
from deployments.image.poster.symbols import (
    ANIMALS,
    FLOATING,
    FUR,
    GLOWING,
    LARGE,
    LITTLE,
    OWN,
    PALETTE,
    PEOPLE,
    SKIN,
    SWIMMING,
    TREE,
    TREES,
    is_aloft,
)

ALONE, FEW, MANY = 0.54, 0.44, 0.32
"""The side of the main thing, as a share of the image's shorter one."""
LARGEST = 0.75
SHOWN_MOST = 24


def placed(poster: Poster, size: Pair, seed: int) -> list[Placed]:
    """The figures, those behind first."""
    chance = random.Random(seed + 2)
    things = _shown(poster)
    total = sum(thing.count for thing in things)
    unit = (ALONE if total == 1 else FEW if total <= 4 else MANY) * min(size)
    groups: dict[bool, list[Placed]] = {True: [], False: []}
    slots = {
        aloft: iter(_places([thing for thing in things if is_aloft(thing) is aloft], chance))
        for aloft in groups
    }
    for thing in things:
        aloft = is_aloft(thing)
        main = 1.0 if thing is things[0] or aloft else 0.8
        for _ in range(thing.count):
            x = next(slots[aloft])
            figure = _figure(thing, poster, size, unit * main, x, chance)
            groups[aloft].append(_by_its_holder(figure, thing, groups[aloft]))
    ground = horizon_of(poster) * size[1]
    inside = ground_of(poster) in ("sky", "space")
    air = spread(groups[True], size, (0, round(size[1] if inside else ground)))
    land = spread(groups[False], size, (0 if inside else round(ground), size[1]))
    return _trees(poster, size, chance) + sorted([*air, *land], key=lambda figure: figure.foot)


def _by_its_holder(figure: Placed, thing: Thing, before: list[Placed]) -> Placed:
    """What something has with it stands next to it, and not in the sky."""
    if not thing.is_held or thing.side or is_aloft(thing) or not before:
        return figure
    return replace(figure, x=before[-1].x + 1, foot=before[-1].foot)


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


def _places(things: list[Thing], chance: random.Random) -> list[float]:
    """From 0 to 1, one for each figure, evenly and a little askew; those of things with a side are
    on it.
    """
    count = sum(thing.count for thing in things)
    slots = [(number + 0.5 + chance.uniform(-0.18, 0.18)) / count for number in range(count)]
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
    aloft = is_aloft(thing)
    scale = thing.size * kind * (0.6 if aloft and thing.size <= 1 else 1.0)
    if thing.height == "far":
        scale *= 0.45
    foot = _foot(thing, poster, chance)
    return Placed(
        symbol=thing.symbol,
        colour=_colour(thing, poster, chance),
        x=x * width,
        foot=foot * height,
        side=max(8, round(min(unit * scale, LARGEST * min(size)))),
        is_mirrored=chance.random() < 0.5,
        glows=thing.symbol in GLOWING and poster.hour in ("night", "sunset"),
        casts_shadow=not aloft and ground_of(poster) not in ("sky", "space", "sea"),
        is_lit=poster.hour == "night" and thing.symbol not in GLOWING,
    )


def _foot(thing: Thing, poster: Poster, chance: random.Random) -> float:
    """Where its lower edge is, as a share of the height."""
    horizon, ground = horizon_of(poster), ground_of(poster)
    if thing.height == "far":
        return horizon + 0.03
    if ground in ("sky", "space") and thing.height is None:
        return chance.uniform(0.3, 0.9)
    if is_aloft(thing):
        return chance.uniform(0.24, 0.4)
    depth = 0.9 if thing.height == "bottom" else 0.3 if thing.symbol in LARGE else 0.62
    if ground in ("sea", "beach"):
        depth = 0.3 if thing.symbol in FLOATING else 0.8
        if thing.symbol in SWIMMING and ground == "beach":
            depth = 0.45
    return horizon + (1 - horizon) * (depth + chance.uniform(-0.12, 0.12))


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
    red, green, blue = (round(0.75 * a + 0.25 * b) for a, b in zip(colour, dark, strict=True))
    return red, green, blue
