"""Figures beside one another: none over another one as long as there is room, all in the image."""

import itertools
import math
from dataclasses import dataclass, replace

from deployments.image.poster.prompts import Colour

Pair = tuple[int, int]
EDGE, GAP = 0.03, 0.06
"""Around all figures, a share of the image's shorter side, and between two, of their sides."""
LEAST = 0.6
"""How far figures are made smaller before they stand in several rows."""


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
    casts_shadow: bool = False
    is_lit: bool = False
    """Whether a pale light around it sets it off from the dark."""


def spread(figures: list[Placed], size: Pair, band: Pair) -> list[Placed]:
    """The figures near where they are, smaller where there are many. `band` is where feet may be,
    from top to bottom, in pixels.
    """
    if not figures:
        return []
    margin = EDGE * min(size)
    room = max(1.0, size[0] - 2 * margin)
    wide = sum(figure.side for figure in figures) * (1 + GAP)
    scale = min(1.0, max(LEAST, room / wide))
    rows = math.ceil(wide * scale / room - 0.001)
    ordered = sorted(figures, key=lambda figure: figure.x)
    smaller = [replace(each, side=max(1, int(each.side * scale))) for each in ordered]
    made: list[Placed] = []
    for row in range(rows):
        members = _beside(smaller[row::rows], size[0], margin)
        made += [_raised(each, row, rows, size, band) for each in members]
    return made


def _beside(figures: list[Placed], width: int, margin: float) -> list[Placed]:
    """From left to right, without overlap where there is room for all."""
    apart = [(one.side + other.side) / 2 * (1 + GAP) for one, other in itertools.pairwise(figures)]
    xs = [max(each.x, margin + each.side / 2) for each in figures]
    for n, distance in enumerate(apart):
        xs[n + 1] = max(xs[n + 1], xs[n] + distance)
    xs = [min(x, width - margin - each.side / 2) for x, each in zip(xs, figures, strict=True)]
    for n in reversed(range(len(apart))):
        xs[n] = min(xs[n], xs[n + 1] - apart[n])
    least = [min(margin + each.side / 2, width / 2) for each in figures]
    return [
        replace(each, x=max(x, lowest)) for each, x, lowest in zip(figures, xs, least, strict=True)
    ]


def _raised(figure: Placed, row: int, rows: int, size: Pair, band: Pair) -> Placed:
    """In its row, the first of which is lowest, and whole within the image."""
    margin = EDGE * min(size)
    foot = figure.foot
    if rows > 1:
        top, bottom = band
        highest = max(top + 0.15 * (bottom - top), figure.side + margin)
        lowest = bottom - margin - 0.1 * (bottom - top)
        askew = (figure.foot - (top + bottom) / 2) / 4
        foot = lowest + (highest - lowest) * row / (rows - 1) + askew
    foot = max(min(foot, size[1] - margin), min(figure.side + margin, size[1]))
    return replace(figure, foot=foot)
