"""Stereo views of an image whose depth is known: rows moved by parallax, and what comes into sight
beside near things filled from the background.

The farthest is seen by both eyes in the same place; what is nearer moves to the right for the left
eye and to the left for the right one, out of the screen.
"""

from typing import Any

import cv2
import numpy as np

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Field = np.ndarray[Any, np.dtype[np.float32]]

BAND_PIXELS = 2_000_000
"""Rows are independent of each other; this many pixels at a time bound the memory."""
EDGE_PX = 1.0
"""Neighbours whose shifts differ by more belong to different things."""


def stereo_pair(pixels: Pixels, near: Field, *, parallax_px: float) -> tuple[Pixels, Pixels]:
    """The left and the right view, each of the image's size (height by width by RGB).

    `near` is of any size, 0 for the farthest and 1 for the nearest, which is `parallax_px` farther
    to the right for the left eye than for the right one.
    """
    height, width = pixels.shape[:2]
    shift = cv2.resize(near, (width, height), interpolation=cv2.INTER_LINEAR)
    shift = (np.clip(shift, 0, 1) * (parallax_px / 2)).astype(np.float32)
    rows = max(1, BAND_PIXELS // width)
    bands = [(pixels[y : y + rows], shift[y : y + rows]) for y in range(0, height, rows)]
    left = [_left_view(*band) for band in bands]
    # The right view of an image is the mirrored left view of its mirror image.
    right = [cv2.flip(_left_view(*(cv2.flip(part, 1) for part in band)), 1) for band in bands]
    return np.concatenate(left), np.concatenate([np.asarray(band, np.uint8) for band in right])


def _left_view(pixels: Any, shift: Any) -> Pixels:
    """Every pixel moved to the right by its shift, which is not negative."""
    height, width = shift.shape
    origin = _origins(shift)
    is_open = origin == width
    begins = np.arange(height, dtype=np.intp)[:, None] * width
    shown = np.take(shift, np.minimum(origin, width - 1) + begins)
    is_open |= _shines_through(np.where(is_open, np.inf, shown))
    place = np.arange(width, dtype=np.float32) - shown
    _fill(place, is_open, shift)
    row = np.arange(height, dtype=np.float32)[:, None]
    rows = np.ascontiguousarray(np.broadcast_to(row, place.shape))
    seen = cv2.remap(pixels, place, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(seen, dtype=np.uint8)


def _origins(shift: Field) -> Any:
    """By place in the new image: the column that is seen there, and the width of the image
    where none has come to.
    """
    height, width = shift.shape
    columns = np.arange(width, dtype=np.int32)
    # What leaves the image lands in a column beyond it.
    landing = np.minimum(np.rint(columns + shift), width).astype(np.intp)
    landing += np.arange(height, dtype=np.intp)[:, None] * (width + 1)
    origin = np.full(height * (width + 1), width, dtype=np.int32)
    # Of two that land in one place, the left one has come farther and is nearer.
    np.minimum.at(origin, landing.ravel(), np.tile(columns, height))
    return origin.reshape(height, width + 1)[:, :width]


def _shines_through(shown: Any) -> Any:
    """Where a single far pixel is seen through a near thing that is stretched by its own slope;
    `shown` is how far what is seen has been moved, infinite where nothing is.
    """
    is_far = np.zeros(shown.shape, dtype=np.bool_)
    around = np.minimum(shown[:, :-2], shown[:, 2:])
    is_far[:, 1:-1] = np.isfinite(around) & (shown[:, 1:-1] + EDGE_PX < around)
    return is_far


def _fill(place: Field, is_open: Any, shift: Field) -> None:
    """Continue what the image has to the left of the near thing at the right end of each gap into
    the gap: mirrored, or its last pixel alone where the mirror shows something nearer. A gap at the
    left edge of the image is filled from its right, one at the right edge from its left.
    """
    width = place.shape[1]
    columns = np.arange(width, dtype=np.int32)
    before = np.maximum.accumulate(np.where(is_open, -1, columns), axis=1)
    after = np.minimum.accumulate(np.where(is_open, width, columns)[:, ::-1], axis=1)[:, ::-1]
    y, x = np.nonzero(is_open)
    left, right = before[y, x], after[y, x]
    beside = np.where(right < width, place[y, np.minimum(right, width - 1)] - 1, place[y, left])
    mirrored = beside - (x - left - 1)
    at_edge = left < 0
    beside = np.where(at_edge, beside + 1, beside)
    mirrored = np.where(at_edge, beside + (right - x - 1), mirrored)
    reach = _columns(beside, width), _columns(mirrored, width)
    is_nearer = shift[y, reach[1]] > shift[y, reach[0]] + EDGE_PX
    place[y, x] = np.where(is_nearer, beside, mirrored)


def _columns(places: Any, width: int) -> Any:
    return np.clip(np.rint(places), 0, width - 1).astype(np.intp)
