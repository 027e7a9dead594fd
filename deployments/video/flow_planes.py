"""Images between two images in yuv420p, by optical flow both ways (OpenCV's DIS).

Both are carried to the time between, and what only one of them shows is taken from that one, as in
H. Jiang et al., "Super SloMo" (CVPR 2018).
"""

from functools import cached_property, lru_cache
from typing import Any

import cv2
import numpy as np
from typing_extensions import override

from deployments.video.motion import Motion, MotionFinder, Plane, Planes
from deployments.video.video_decoding import Colours

Field = np.ndarray[Any, np.dtype[np.float32]]

LARGEST_FLOW_PX = 768
"""Of the longer side of what flow is sought in, which is never more than half of the image: DIS
itself stops at half, or at a quarter, in its usual settings. Of these, the faster one errs by 3 %
more than the slower one on shapes in motion, and takes two thirds of its time.
"""
INVERSIONS = 3
STRAYING_PX, STRAYING_SHARE = 0.5, 0.05
"""Flow there and back may miss its start by this much, and by this share of its length."""
CUT_STRAYING, CUT_DIFFERENCE = 0.35, 8.0
"""Images belong to two shots when more than this share of the flow goes astray, and what is left
after following it is on average more than this many levels.
"""
CUT_LEFT, CUT_LEFT_SHARE = 16.0, 0.6
"""And when more than this many levels are left, and this share of the difference, whatever the flow
says: images without detail give none.
"""
LITTLE = 1e-3
SMALLEST_FLOW_PX = 16


class FlowFinder(MotionFinder):
    """Optical flow alone, without any model's weights."""

    @override
    def motion(
        self,
        first: Planes,
        second: Planes,
        colours: Colours,
    ) -> "PlanesBetween":
        return PlanesBetween(first, second)


class PlanesBetween(Motion):
    """Flow there and back between two images, found once for all the images between."""

    def __init__(self, first: Planes, second: Planes) -> None:
        self._first, self._second = first, second
        grey = (_small(first.y), _small(second.y))
        self._forth, self._back = _flow(*grey), _flow(grey[1], grey[0])
        height, width = grey[0].shape
        self._grid = _grid(width, height)
        self._left = _straying(self._forth, self._back, self._grid)
        self._new = _straying(self._back, self._forth, self._grid)
        self._grey = grey

    @override
    @cached_property
    def is_cut(self) -> bool:
        first, second = self._grey
        left = _difference(first, _moved(second, self._grid + self._forth))
        if max(float(self._left.mean()), float(self._new.mean())) > CUT_STRAYING:
            return left > CUT_DIFFERENCE
        return left > max(CUT_LEFT, CUT_LEFT_SHARE * _difference(first, second))

    @override
    def at(self, share: float) -> Planes:
        forth = _from_between(self._forth, share, self._grid)
        back = _from_between(self._back, 1 - share, self._grid)
        # What is seen of one image and hidden in the other is taken from the one alone.
        first = (1 - share) * (1 - _moved(self._new, self._grid + back)) + LITTLE
        second = share * (1 - _moved(self._left, self._grid + forth)) + LITTLE
        weight = first / (first + second)
        luma = _mixed(self._first.y, self._second.y, (forth, back), weight)
        chroma = _mixed(
            cv2.merge([self._first.u, self._first.v]),
            cv2.merge([self._second.u, self._second.v]),
            (forth, back),
            weight,
        )
        return Planes(luma, *(np.asarray(plane, np.uint8) for plane in cv2.split(chroma)))


def dissolved(first: Planes, second: Planes, share: float) -> Planes:
    """One image shining through the other."""
    mixed = (cv2.addWeighted(a, 1 - share, b, share, 0) for a, b in zip(first, second, strict=True))
    return Planes(*(np.asarray(plane, dtype=np.uint8) for plane in mixed))


def _difference(first: Plane, second: Plane) -> float:
    """In levels; a change of the light alone is none."""
    difference = first.astype(np.float32) - second
    return float(np.abs(difference - difference.mean()).mean())


def _small(luma: Plane) -> Plane:
    height, width = luma.shape
    factor = max(2.0, max(height, width) / LARGEST_FLOW_PX)
    size = (
        max(SMALLEST_FLOW_PX, round(width / factor)),
        max(SMALLEST_FLOW_PX, round(height / factor)),
    )
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _flow(first: Plane, second: Plane) -> Field:
    """Where each pixel of the first image is in the second one, relative to itself."""
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    finder.setFinestScale(0)
    empty = np.zeros((*first.shape, 2), dtype=np.float32)
    return np.asarray(finder.calc(first, second, empty), dtype=np.float32)


@lru_cache(maxsize=8)
def _grid(width: int, height: int) -> Field:
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([columns, rows], axis=2).astype(np.float32)


def _straying(there: Field, back: Field, grid: Field) -> Field:
    """1 where flow there and back does not come home: what the second image does not show."""
    missed = there + _moved(back, grid + there)
    allowed = STRAYING_PX + STRAYING_SHARE * cv2.magnitude(*cv2.split(there))
    return (cv2.magnitude(*cv2.split(missed)) > allowed).astype(np.float32)


def _from_between(flow: Field, share: float, grid: Field) -> Field:
    """Where what is seen at `share` of the way comes from, relative to itself: the place from which
    that share of the flow leads here, found by fixed-point iteration.
    """
    origin = flow * -share
    for _ in range(INVERSIONS):
        origin = _moved(flow, grid + origin) * -share
    return origin


def _mixed(first: Any, second: Any, origins: tuple[Field, Field], weight: Field) -> Plane:
    """Both planes carried to the time between, the first one's share being `weight`."""
    height, width = first.shape[:2]
    scale = np.array([width / weight.shape[1], height / weight.shape[0]], dtype=np.float32)
    carried = [
        _moved(plane, _grid(width, height) + _sized(origin, width, height) * scale)
        for plane, origin in zip((first, second), origins, strict=True)
    ]
    share = _sized(weight, width, height)
    return np.asarray(cv2.blendLinear(carried[0], carried[1], share, 1 - share), dtype=np.uint8)


def _sized(field: Field, width: int, height: int) -> Field:
    if field.shape[:2] == (height, width):
        return field
    return np.asarray(cv2.resize(field, (width, height)), dtype=np.float32)


def _moved(values: Any, places: Any) -> Any:
    """Values as they are at `places`, which may lie between them and outside."""
    nothing: Any = None
    return cv2.remap(values, places, nothing, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
