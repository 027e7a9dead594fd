"""The depth of the frames of a video, steady from one to the next.

A model looks at every frame anew, and tells depth up to a scale of the frame's own. Here each map
is stretched to the same range, and mixed with the one before it, which is carried along with what
moves; where the video shows something new, nothing is mixed.
"""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Field = np.ndarray[Any, np.dtype[np.float32]]

MEMORY_S = 0.3
"""After so long, what was seen counts 1/e."""
NEW_LEVELS = 12.0
"""Differences of the image of this many levels, the motion taken out, are something new."""
BLUR_PX = 9
OUTLIERS = (0.5, 99.5)
"""Percentiles that are taken for the farthest and the nearest."""
SMALLEST_PX = 32
"""Flow cannot be sought in less."""


@dataclass(frozen=True)
class _Seen:
    near: Field
    grey: Pixels
    at_s: float


class SteadyDepth:
    """The maps of one video, asked for in its order."""

    def __init__(self) -> None:
        self._last: _Seen | None = None
        self.is_flat = True
        """Whether everything has been at one distance in all frames."""

    def at(self, depth: Field, grey: Pixels, at_s: float) -> Field:
        """From 0 for the farthest to 1 for the nearest. `depth` is larger for what is nearer and
        not finite where nothing is known; `grey` is the frame in the same size, with sides of at
        least `SMALLEST_PX`.
        """
        near = stretched(depth)
        self.is_flat = self.is_flat and not near.any()
        if self._last is not None:
            near = _mixed(self._last, near, grey, at_s)
        self._last = _Seen(near, grey, at_s)
        return near


def stretched(depth: Field) -> Field:
    """From 0 to 1, but for outliers; what is not known is far. All 0 where all are the same."""
    is_known = np.isfinite(depth)
    if not is_known.any():
        return np.zeros(depth.shape, dtype=np.float32)
    known = depth[is_known]
    least, most = (float(value) for value in np.percentile(known, OUTLIERS))
    if most <= least:
        least, most = float(known.min()), float(known.max())
    if most <= least:
        return np.zeros(depth.shape, dtype=np.float32)
    near = np.where(is_known, depth, least)
    return np.clip((near - least) / (most - least), 0, 1).astype(np.float32)


def _mixed(last: _Seen, near: Field, grey: Pixels, at_s: float) -> Field:
    places = _places(grey, last.grey)
    was_grey, was_near = _moved(last.grey, places), _moved(last.near, places)
    difference: Any = cv2.absdiff(grey, was_grey).astype(np.float32)
    difference = cv2.blur(difference, (BLUR_PX, BLUR_PX))
    recency = math.exp(-max(0.0, at_s - last.at_s) / MEMORY_S)
    share = recency * np.exp(-((difference / NEW_LEVELS) ** 2))
    return np.asarray(near + share * (was_near - near), dtype=np.float32)


def _places(grey: Pixels, before: Pixels) -> Field:
    """Where each pixel was in the frame before."""
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    height, width = grey.shape
    flow = finder.calc(grey, before, np.zeros((height, width, 2), dtype=np.float32))
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    return np.asarray(flow + np.stack([columns, rows], axis=2), dtype=np.float32)


def _moved(values: Any, places: Field) -> Any:
    nothing: Any = None
    return cv2.remap(values, places, nothing, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
