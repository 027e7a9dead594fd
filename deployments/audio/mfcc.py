"""Mel-frequency cepstral coefficients of speech (S. Davis and P. Mermelstein, 1980)."""

from functools import cache
from typing import Any

import numpy as np

from deployments.audio.audio_decoding import SPEECH_RATE
from deployments.audio.speech_windows import Samples

Features = np.ndarray[Any, np.dtype[np.float32]]
FRAMES_PER_S = 50
HOP = SPEECH_RATE // FRAMES_PER_S
FRAME = SPEECH_RATE // 40
FFT = 512
BANDS = 40
LOW_HZ, HIGH_HZ = 60.0, 7_600.0
COEFFICIENTS = 19
PRE_EMPHASIS = 0.97
FAINTEST = 1e-8
"""Added to the energy of a band, so that digital silence has a logarithm."""


def mfcc(samples: Samples) -> tuple[Features, Features]:
    """Coefficients 1 to 19 (frames, 19) and the level of each frame in decibels of full scale, for
    frames of 25 ms every 20 ms. The zeroth coefficient, loudness, is left out of the first.
    """
    frames = _frames(samples)
    level = 10 * np.log10(np.square(frames).mean(axis=1) + 1e-10)
    emphasised = frames.copy()
    emphasised[:, 1:] -= PRE_EMPHASIS * frames[:, :-1]
    spectrum = np.fft.rfft(emphasised * np.hamming(FRAME).astype(np.float32), FFT)
    bands = np.square(np.abs(spectrum)).astype(np.float32) / FFT @ _mel_bands().T
    return (
        np.asarray(np.log(bands + FAINTEST) @ cosines().T, dtype=np.float32),
        np.asarray(level, dtype=np.float32),
    )


def _frames(samples: Samples) -> Samples:
    count = max(1, -(-len(samples) // HOP))
    padded = np.pad(samples, (0, max(0, (count - 1) * HOP + FRAME - len(samples))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP]
    return np.ascontiguousarray(windows[:count])


@cache
def _mel_bands() -> Features:
    """Triangles (bands, bins) that are equally wide on the mel scale 2595 log10(1 + f / 700)."""
    mel = np.linspace(_mel(LOW_HZ), _mel(HIGH_HZ), BANDS + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    hertz = np.fft.rfftfreq(FFT, 1 / SPEECH_RATE)
    rising = (hertz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - hertz) / (edges[2:] - edges[1:-1])[:, None]
    return np.asarray(np.clip(np.minimum(rising, falling), 0, None), dtype=np.float32)


@cache
def cosines() -> Features:
    """The rows 1 to 19 of the orthonormal discrete cosine transform of type II."""
    orders = np.arange(1, COEFFICIENTS + 1)[:, None]
    rows = np.cos(np.pi * orders * (np.arange(BANDS) + 0.5) / BANDS) * np.sqrt(2 / BANDS)
    return np.asarray(rows, dtype=np.float32)


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))
