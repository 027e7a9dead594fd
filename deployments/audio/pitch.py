"""How high a voice is: the median of its fundamental frequency.

By normalised autocorrelation, the first peak near the highest (P. McLeod and G. Wyvill, A smarter
way to find pitch, ICMC 2005).
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from deployments.audio.audio_decoding import SPEECH_RATE

Real = np.ndarray[Any, np.dtype[np.float64]]

WINDOW = 1024
HOP = 320
LOWEST_HZ = 60.0
HIGHEST_SPOKEN_HZ = 500.0
HIGHEST_SUNG_HZ = 1_000.0
CLEARNESS = 0.7
PEAK_SHARE = 0.9
LOUDNESS_SHARE = 0.1
"""Frames quieter than this share of the loudest say nothing about a voice."""
BATCH_BYTES = SPEECH_RATE * 2


def median_pitch(
    blocks: Iterator[bytes], stop: Callable[[], bool], *, highest_hz: float = HIGHEST_SPOKEN_HZ
) -> float | None:
    """In Hz, of signed 16-bit mono at 16 kHz in bounded memory; None when nothing is voiced, or
    when told to stop.
    """
    pitches, levels = [np.zeros(0)], [np.zeros(0)]
    for batch in _batches(blocks):
        if stop():
            return None
        frames = np.lib.stride_tricks.sliding_window_view(batch, WINDOW)[::HOP]
        frames = frames - frames.mean(axis=1, keepdims=True)
        levels.append(np.sqrt((frames**2).mean(axis=1)))
        pitches.append(_pitches(frames, highest_hz))
    hertz, loudness = np.concatenate(pitches), np.concatenate(levels)
    is_audible = (hertz > 0) & (loudness > LOUDNESS_SHARE * loudness.max(initial=0.0))
    return float(np.median(hertz[is_audible])) if is_audible.any() else None


def _batches(blocks: Iterator[bytes]) -> Iterator[Real]:
    """Whole windows, a second at a time; the rest of a window is left out."""
    held = bytearray()
    for block in blocks:
        held += block
        if len(held) >= BATCH_BYTES:
            yield _samples(held)
            held.clear()
    if len(held) >= WINDOW * 2:
        yield _samples(held)


def _samples(data: bytearray) -> Real:
    return np.frombuffer(bytes(data), dtype="<i2").astype(np.float64) / 32768


def _pitches(frames: Real, highest_hz: float) -> Real:
    """Hz per frame, 0 where there is no clear pitch."""
    first, last = int(SPEECH_RATE / highest_hz), int(SPEECH_RATE / LOWEST_HZ) + 1
    curve = _normalised_autocorrelation(frames)[:, first - 1 : last + 2]
    left, middle, right = curve[:, :-2], curve[:, 1:-1], curve[:, 2:]
    height = np.where((middle > left) & (middle >= right), middle, 0.0)
    highest = height.max(axis=1)
    lag = np.argmax(height >= PEAK_SHARE * highest[:, None], axis=1)
    rows = np.arange(len(frames))
    a, b, c = left[rows, lag], middle[rows, lag], right[rows, lag]
    bend = a - 2 * b + c
    offset = np.where(bend < 0, 0.5 * (a - c) / np.where(bend < 0, bend, -1.0), 0.0)
    return np.where(highest > CLEARNESS, SPEECH_RATE / (lag + first + offset), 0.0)


def _normalised_autocorrelation(frames: Real) -> Real:
    """By lag, in -1 to 1."""
    spectrum = np.fft.rfft(frames, n=2 * WINDOW, axis=1)
    products = np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, :WINDOW]
    sums = np.pad(np.cumsum(frames**2, axis=1), ((0, 0), (1, 0)))
    lags = np.arange(WINDOW)
    energy = sums[:, WINDOW - lags] + sums[:, WINDOW, None] - sums[:, lags]
    curve: Real = 2 * products / (energy + 1e-12)
    return curve
