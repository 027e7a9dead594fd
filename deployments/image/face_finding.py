"""Faces seen from the front, by the cascades that come in OpenCV's wheel. Blocks.

Paul Viola, Michael Jones: "Rapid Object Detection using a Boosted Cascade", 2001.
"""

import threading
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from serve_app.core.errors import BackendUnavailable

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Place = tuple[float, float]

FIND_PX = 800
"""The longer side at which faces are looked for."""
SMALLEST_PX = 24
SMALLEST = 0.04
"""The least side of a face, as a part of the image's shorter side."""
NEIGHBOURS = 4
EYES_X, EYES_Y = (0.31, 0.69), 0.4
"""Where eyes are in the square that the cascade finds, when they are not seen themselves."""
UPPER = 0.6


@dataclass(frozen=True)
class Face:
    """A square in pixels, left, top, right and bottom, and the middles of the two eyes, left in the
    image first. `detail` is the finder's own.
    """

    box: tuple[int, int, int, int]
    eyes: tuple[Place, Place]
    detail: Any = None

    @property
    def side(self) -> int:
        """In pixels."""
        return self.box[2] - self.box[0]


class CascadeFinder:
    """Cascades are not thread-safe; a lock is held while one looks."""

    def __init__(self) -> None:
        self._faces = _cascade("haarcascade_frontalface_alt2.xml")
        self._eyes = _cascade("haarcascade_eye.xml")
        self._lock = threading.Lock()

    def __call__(self, pixels: Pixels) -> list[Face]:
        """The faces in an RGB image, the largest first."""
        height, width = pixels.shape[:2]
        scale = min(1.0, FIND_PX / max(width, height))
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        if scale < 1:
            grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        least = max(SMALLEST_PX, round(SMALLEST * min(grey.shape)))
        with self._lock:
            squares = self._faces.detectMultiScale(grey, 1.1, NEIGHBOURS, minSize=(least, least))
            faces = [self._face(_bytes(grey), tuple(map(int, square)), scale) for square in squares]
        return sorted(faces, key=lambda face: (-face.side, face.box))

    def _face(self, grey: Pixels, square: tuple[int, ...], scale: float) -> Face:
        x, y, width, height = square
        left, top, side = (round(length / scale) for length in (x, y, width))
        eyes = self._eyes_in(grey[y : y + round(UPPER * height), x : x + width], width)
        places = [((x + eye_x) / scale, (y + eye_y) / scale) for eye_x, eye_y in eyes]
        return Face((left, top, left + side, top + side), (places[0], places[1]))

    def _eyes_in(self, upper: Pixels, side: int) -> tuple[Place, Place]:
        least = max(6, side // 8)
        found = self._eyes.detectMultiScale(upper, 1.1, 3, minSize=(least, least))
        middles = [(float(x + width / 2), float(y + height / 2)) for x, y, width, height in found]
        pairs = [
            (one, other)
            for one in middles
            for other in middles
            if one[0] < side / 2 < other[0]
            and 0.25 * side < other[0] - one[0] < 0.6 * side
            and abs(other[1] - one[1]) < 0.15 * side
        ]
        usual = ((EYES_X[0] * side, EYES_Y * side), (EYES_X[1] * side, EYES_Y * side))
        return min(pairs, key=lambda pair: _distance(pair, usual), default=usual)


def _distance(pair: tuple[Place, Place], usual: tuple[Place, Place]) -> float:
    return float(np.abs(np.subtract(pair, usual)).sum())


def _bytes(values: Any) -> Pixels:
    pixels: Pixels = values.astype(np.uint8, copy=False)
    return pixels


def _cascade(name: str) -> cv2.CascadeClassifier:
    folder: str = getattr(cv2, "data").haarcascades  # noqa: B009 - not in the stubs
    cascade = cv2.CascadeClassifier(folder + name)
    if cascade.empty():
        raise BackendUnavailable(
            f"OpenCV has no {name!r}",
            remedy="install opencv-python-headless 4, because 5 ships none",
            provider="opencv_faces",
        )
    return cascade
