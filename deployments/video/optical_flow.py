"""Images between two images, by optical flow both ways (OpenCV's DIS)."""

from typing import Any

import cv2
import numpy as np

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Flow = np.ndarray[Any, np.dtype[np.float32]]

AGREEMENT = 0.6
"""Flow is trusted when it leaves less than this share of the difference between the images."""


class FramesBetween:
    """What lies between two RGB images of one size. Where the flow does not carry one over to the
    other, as between unlike images, they are dissolved.
    """

    def __init__(self, first: Pixels, second: Pixels) -> None:
        self._first, self._second = first, second
        grey = (_grey(first), _grey(second))
        self._forth, self._back = _flow(*grey), _flow(grey[1], grey[0])
        self._grid = _grid(first.shape[1], first.shape[0])
        self._is_flowing = self._agrees(grey)

    @property
    def is_flowing(self) -> bool:
        """Whether the second image is the first one moved."""
        return self._is_flowing

    def at(self, share: float) -> Pixels:
        """The image at a share of the way from the first (0) to the second (1)."""
        first, second = self._first, self._second
        if self._is_flowing:
            first = _moved(first, self._grid - self._forth * share)
            second = _moved(second, self._grid - self._back * (1 - share))
        mixed = cv2.addWeighted(first, 1 - share, second, share, 0)
        return np.asarray(mixed, dtype=np.uint8)

    def _agrees(self, grey: tuple[Pixels, Pixels]) -> bool:
        carried = _moved(grey[1], self._grid + self._forth)
        left = cv2.absdiff(grey[0], carried).mean()
        return bool(left <= AGREEMENT * cv2.absdiff(*grey).mean())


def _grey(image: Pixels) -> Pixels:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _flow(first: Pixels, second: Pixels) -> Flow:
    """Where each pixel of the first image is in the second one, relative to itself."""
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    empty = np.zeros((*first.shape, 2), dtype=np.float32)
    return np.asarray(finder.calc(first, second, empty), dtype=np.float32)


def _grid(width: int, height: int) -> Flow:
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([columns, rows], axis=2).astype(np.float32)


def _moved(image: Pixels, places: Flow) -> Pixels:
    columns, rows = cv2.split(places)
    moved = cv2.remap(image, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, dtype=np.uint8)
