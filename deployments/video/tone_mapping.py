"""High dynamic range brought down to what H.264 in 8 bits and ordinary screens show."""

from functools import lru_cache
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float32]]

PQ, HLG = 16, 18
"""Transfer characteristics of ITU-T H.273."""
BT2020 = 9
WHITE_NITS = 203.0
"""The luminance of white in standard range (ITU-R BT.2408)."""
BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    dtype=np.float32,
)


def is_high_range(frame: Any) -> bool:
    """Whether a decoded frame says that it is PQ or HLG."""
    return int(frame.color_trc) in (PQ, HLG)


def standard_range(frame: Any, width: int, height: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A PQ or HLG frame as 8-bit RGB: linear light, BT.709 primaries, highlights rolled off."""
    deep = frame.to_ndarray(format="rgb48le", width=width, height=height)
    light: Floats = _linear(int(frame.color_trc))[deep >> 4]
    if int(frame.color_primaries) == BT2020:
        light = np.maximum(light @ BT2020_TO_BT709.T, 0)
    peak = light.max(axis=2, keepdims=True)
    light = light * (_rolled_off(peak) / np.maximum(peak, 1e-6))
    return np.asarray(_gamma()[(light * 4095 + 0.5).astype(np.uint16)], dtype=np.uint8)


def _rolled_off(light: Floats) -> Floats:
    """As it is up to three quarters of white, then ever slower towards 1."""
    knee = 0.75
    over = np.maximum(light - knee, 0)
    room = 1 - knee
    return np.where(light <= knee, light, knee + room * over / (over + room)).astype(np.float32)


@lru_cache
def _linear(transfer: int) -> Floats:
    """Linear light of 12-bit code values, 1 being white. PQ by SMPTE ST 2084, HLG by ARIB STD-B67
    with the system gamma of a 1000 nits display left out.
    """
    code = np.arange(4096, dtype=np.float64) / 4095
    if transfer == PQ:
        m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
        power = code ** (1 / m2)
        nits = 10_000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
        return (nits / WHITE_NITS).astype(np.float32)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    return (scene * 1000 / WHITE_NITS).astype(np.float32)


@lru_cache
def _gamma() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """8-bit sRGB of linear light in 4096 steps."""
    light = np.arange(4096, dtype=np.float64) / 4095
    coded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(coded * 255), dtype=np.uint8)
