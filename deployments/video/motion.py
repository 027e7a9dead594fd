"""What an interpolation of images needs to know of the motion between two of them."""

from typing import Any, NamedTuple, Protocol

import numpy as np

from deployments.video.video_decoding import Colours

Plane = np.ndarray[Any, np.dtype[np.uint8]]


class Planes(NamedTuple):
    """8-bit luma, and chroma of half its sides, which are even."""

    y: Plane
    u: Plane
    v: Plane


class Motion(Protocol):
    """What lies between two images of one size."""

    @property
    def is_cut(self) -> bool:
        """Whether the second image begins another shot."""
        ...

    def at(self, share: float) -> Planes:
        """The image at a share of the way from the first (0) to the second (1)."""
        ...


class MotionFinder(Protocol):
    """How the images between two are made."""

    def motion(self, first: Planes, second: Planes, colours: Colours) -> Motion:
        """Of images whose planes stand for `colours`."""
        ...
