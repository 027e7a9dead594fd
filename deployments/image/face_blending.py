"""One face in place of another: turned and sized by the eyes, matched in colour, and cloned so that
no edge is seen. Blocks.

Patrick Pérez, Michel Gangnet, Andrew Blake: "Poisson Image Editing", 2003.
"""

from typing import Any

import cv2
import numpy as np

from deployments.image.face_finding import Face, Pixels

Floats = np.ndarray[Any, np.dtype[np.float32]]

MARGIN = 0.4
"""What is worked on around a face, as a part of its side."""
MIDDLE_Y = 0.54
HALF_WIDTH, HALF_HEIGHT = 0.34, 0.42
"""The oval that is replaced: its middle and half axes, as parts of the face's side."""
RIM_PX = 3
"""Cloning needs a ring of the image around what it replaces."""
FEWEST_PX = 16
CLONE_PX = 320
"""The longer side at which faces are cloned; what that changes in them is smooth, so that it can be
made larger. It takes longer than everything else by far."""


class FaceSource:
    """The face to be seen, cut out of its image."""

    def __init__(self, pixels: Pixels, face: Face) -> None:
        left, top, right, bottom = _around(face, pixels)
        self._pixels = np.ascontiguousarray(pixels[top:bottom, left:right])
        self._eyes = [(x - left, y - top) for x, y in face.eyes]

    def __call__(self, pixels: Pixels, face: Face) -> Pixels:
        """An RGB image with this face in place of that one; nothing outside of an oval in its
        square is touched. The image as it is where there is no room for one.
        """
        left, top, right, bottom = _around(face, pixels)
        part = np.ascontiguousarray(pixels[top:bottom, left:right])
        eyes = [(x - left, y - top) for x, y in face.eyes]
        turn = _similarity(self._eyes, eyes)
        size = (part.shape[1], part.shape[0])
        shrinks = float(np.hypot(turn[0, 0], turn[1, 0])) < 0.5
        source = self._smoothed(turn) if shrinks else self._pixels
        moved = _bytes(cv2.warpAffine(source, turn, size, borderMode=cv2.BORDER_REFLECT_101))
        covered = cv2.warpAffine(np.full(source.shape[:2], 255, np.uint8), turn, size)
        mask = _oval(face, (left, top), part) & (covered == 255)
        if mask.sum() < FEWEST_PX:
            return pixels
        changed = pixels.copy()
        changed[top:bottom, left:right][mask] = _cloned(_matched(moved, part, mask), part, mask)
        return changed

    def _smoothed(self, turn: Floats) -> Pixels:
        """Without the detail that would flicker once it is made much smaller."""
        width = 0.5 / max(0.02, float(np.hypot(turn[0, 0], turn[1, 0])))
        return _bytes(cv2.GaussianBlur(self._pixels, (0, 0), width))


def _around(face: Face, pixels: Pixels) -> tuple[int, int, int, int]:
    left, top, right, bottom = face.box
    margin = round(MARGIN * face.side)
    height, width = pixels.shape[:2]
    return (
        max(0, left - margin),
        max(0, top - margin),
        min(width, right + margin),
        min(height, bottom + margin),
    )


def _similarity(origin: list[tuple[float, float]], target: list[tuple[float, float]]) -> Floats:
    """The turn, scale and shift that take one pair of points to the other, 2 by 3."""
    first, second = (complex(*origin[0]), complex(*origin[1]))
    factor = (complex(*target[1]) - complex(*target[0])) / (second - first)
    shift = complex(*target[0]) - factor * first
    rows = [[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]]
    return np.array(rows, np.float32)


def _oval(face: Face, origin: tuple[int, int], part: Pixels) -> Any:
    """Booleans; false on the rim of the part."""
    left, top = face.box[0] - origin[0], face.box[1] - origin[1]
    (x1, y1), (x2, y2) = face.eyes
    middle = (round(left + 0.5 * face.side), round(top + MIDDLE_Y * face.side))
    axes = (round(HALF_WIDTH * face.side), round(HALF_HEIGHT * face.side))
    mask = np.zeros(part.shape[:2], np.uint8)
    angle = float(np.degrees(np.arctan2(y2 - y1, x2 - x1)))
    cv2.ellipse(mask, middle, axes, angle, 0, 360, 255, cv2.FILLED)
    inner = np.zeros(mask.shape, bool)
    inner[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX] = True
    return (mask > 0) & inner


def _matched(moved: Pixels, part: Pixels, mask: Any) -> Pixels:
    """The mean and the spread of each channel of Lab taken over within the mask (Reinhard 2001)."""
    source = cv2.cvtColor(moved, cv2.COLOR_RGB2LAB)
    target = cv2.cvtColor(part, cv2.COLOR_RGB2LAB)
    there_mean, there_spread = cv2.meanStdDev(source, mask=mask.astype(np.uint8))
    here_mean, here_spread = cv2.meanStdDev(target, mask=mask.astype(np.uint8))
    factor = np.clip(here_spread / np.maximum(there_spread, 1.0), 0.5, 2.0)
    values = (np.arange(256) - there_mean) * factor + here_mean
    table = _bytes(np.clip(np.rint(values), 0, 255).T[None])
    return _bytes(cv2.cvtColor(cv2.LUT(source, np.ascontiguousarray(table)), cv2.COLOR_LAB2RGB))


def _cloned(moved: Pixels, part: Pixels, mask: Any) -> Pixels:
    """The pixels within the mask."""
    scale = CLONE_PX / max(mask.shape)
    if scale >= 1:
        return _bytes(_poisson(moved, part, mask)[mask])
    size = max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale))
    little, below = (cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in (moved, part))
    shape = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    changes: Any = _poisson(_bytes(little), _bytes(below), shape).astype(np.float32) - little
    changes = cv2.resize(changes, (part.shape[1], part.shape[0]), interpolation=cv2.INTER_LINEAR)
    return _bytes(np.clip(np.rint(moved[mask] + changes[mask]), 0, 255))


def _poisson(moved: Pixels, part: Pixels, mask: Any) -> Pixels:
    """The whole part, with what is within the mask replaced."""
    shape = np.where(mask, 255, 0).astype(np.uint8)
    x, y, width, height = cv2.boundingRect(shape)
    middle = (x + width // 2, y + height // 2)
    return _bytes(cv2.seamlessClone(moved, part, shape, middle, cv2.NORMAL_CLONE))


def _bytes(values: Any) -> Pixels:
    pixels: Pixels = values.astype(np.uint8)
    return pixels
