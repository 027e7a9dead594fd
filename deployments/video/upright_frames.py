"""Decoded frames turned upright, with square pixels."""

from fractions import Fraction
from typing import Any

import numpy as np
from av.video.reformatter import VideoReformatter

from deployments.video.tone_mapping import is_high_range, standard_range

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def upright_pixels(frame: Any, aspect: Fraction | None, reformatter: VideoReformatter) -> Pixels:
    """Height by width by RGB, 8 bits, high dynamic range brought down."""
    width, height = square_size(frame, aspect)
    if is_high_range(frame):
        pixels = standard_range(frame, width, height)
    else:
        plain: Any = reformatter.reformat(frame, width, height, "rgb24")
        pixels = plain.to_ndarray()
    return np.ascontiguousarray(np.rot90(pixels, k=quarter_turns(frame)))


def square_size(frame: Any, aspect: Fraction | None) -> tuple[int, int]:
    """As stored, with the width that makes pixels square."""
    if not aspect or aspect == 1 or not 0.1 < aspect < 10:
        return frame.width, frame.height
    return max(1, round(frame.width * float(aspect))), frame.height


def upright_size(frame: Any, aspect: Fraction | None) -> tuple[int, int]:
    """Width and height of `upright_pixels`."""
    width, height = square_size(frame, aspect)
    return (height, width) if quarter_turns(frame) % 2 else (width, height)


def quarter_turns(frame: Any) -> int:
    """Counter-clockwise, as the display matrix of MP4 and QuickTime says."""
    return int(round(frame.rotation / 90) % 4)
