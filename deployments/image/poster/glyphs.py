"""Symbols of an outline font as coloured figures: filled where their lines enclose something."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from deployments.image.poster.prompts import Colour

NOT_THERE = "\U0010ffff"
PROBE_PX = 24
LINES, PAPER = (34, 32, 52), (252, 250, 244)
SOLID, RIM = 0.12, 0.03
"""Symbols that enclose less of their box are solid; their rim is so wide."""
WEIGHT = 500
Array = np.ndarray[Any, np.dtype[np.uint8]]


class SymbolFont:
    """A font of symbols, in one thread at a time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        probe = ImageFont.truetype(str(file), PROBE_PX)
        self._missing = bytes(probe.getmask(NOT_THERE))
        self._probe = probe

    def has(self, char: str) -> bool:
        """Whether it is more than the box of what a font lacks."""
        mask = self._probe.getmask(char)
        return mask.getbbox() is not None and bytes(mask) != self._missing

    def figure(self, char: str, side_px: int, colour: Colour) -> Image.Image:
        """RGBA, no larger than a square of that side, without empty borders."""
        lines = self._lines(char, side_px)
        alpha = filled(np.asarray(lines))
        inside = float(((alpha == 255) & (np.asarray(lines) < 128)).sum()) / max(1, alpha.size)
        if inside < SOLID:
            return _solid(alpha, lines, colour)
        figure = Image.new("RGB", lines.size, colour)
        figure.paste(LINES, mask=lines)
        figure.putalpha(Image.fromarray(alpha))
        return figure

    def _lines(self, char: str, side_px: int) -> Image.Image:
        font = ImageFont.truetype(str(self._file), max(4, side_px))
        axes = _axes(font)
        if axes:
            font.set_variation_by_axes(axes)
        left, top, right, bottom = (round(edge) for edge in font.getbbox(char))
        canvas = Image.new("L", (max(1, right - left + 2), max(1, bottom - top + 2)))
        ImageDraw.Draw(canvas).text((1 - left, 1 - top), char, 255, font)
        canvas = canvas.crop(canvas.getbbox() or (0, 0, 1, 1))
        canvas.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
        return canvas


def filled(lines: Array) -> Array:
    """Opacity of the figure: of the lines, and whole inside of them."""
    framed = np.pad(lines, 1)
    reached = np.zeros((framed.shape[0] + 2, framed.shape[1] + 2), np.uint8)
    free = np.where(framed < 128, 0, 255).astype(np.uint8)
    cv2.floodFill(free, reached, (0, 0), 128)
    outside = (free == 128)[1:-1, 1:-1]
    return np.where(outside, lines, 255).astype(np.uint8)


def _solid(alpha: Array, lines: Image.Image, colour: Colour) -> Image.Image:
    """A symbol that is black in its font: coloured, with a dark rim, and white where it is open."""
    figure = Image.new("RGB", lines.size, PAPER)
    figure.paste(colour, mask=lines)
    rim = max(1, round(RIM * max(lines.size)))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rim + 1, 2 * rim + 1))
    within = cv2.erode(np.pad(alpha, rim), kernel)[rim:-rim, rim:-rim]
    rimmed = Image.new("RGB", lines.size, LINES)
    rimmed.paste(figure, mask=Image.fromarray(within.astype(np.uint8)))
    rimmed.putalpha(Image.fromarray(alpha))
    return rimmed


def _axes(font: ImageFont.FreeTypeFont) -> list[float]:
    """Of a font that can be bolder, so much."""
    try:
        axes = font.get_variation_axes()
    except OSError:
        return []
    return [WEIGHT if _is_weight(axis) else float(axis["default"] or 0) for axis in axes]


def _is_weight(axis: Any) -> bool:
    return bytes(axis["name"] or b"") == b"Weight" and axis["minimum"] <= WEIGHT <= axis["maximum"]
