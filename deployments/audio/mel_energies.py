"""Energies of speech in mel bands, as GE2E was trained on them: those of librosa's
`melspectrogram` for frames of 25 ms every 10 ms.
"""

from functools import cache
from typing import Any

import numpy as np

from deployments.audio.audio_decoding import SPEECH_RATE
from deployments.audio.speech_windows import Samples

Energies = np.ndarray[Any, np.dtype[np.float32]]
FRAME, HOP, BANDS = 400, 160, 40
LINEAR_HZ, LINEAR_MELS = 1000.0, 15.0
"""The scale of M. Slaney's Auditory Toolbox: even up to here, then a constant factor per step."""
STEP = float(np.log(6.4) / 27)


def mel_energies(samples: Samples) -> Energies:
    """Shaped (frames, BANDS); a frame's middle is at its place, silence around the ends."""
    padded = np.pad(samples, FRAME // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP]
    power = np.square(np.abs(np.fft.rfft(frames * _window())))
    return np.asarray(power @ _bands().T, dtype=np.float32)


@cache
def _window() -> Energies:
    return np.asarray(np.hanning(FRAME + 1)[:-1], dtype=np.float32)


@cache
def _bands() -> Energies:
    """Triangles (bands, bins), each of the area of one."""
    top = LINEAR_MELS + np.log(SPEECH_RATE / 2 / LINEAR_HZ) / STEP
    mels = np.linspace(0.0, top, BANDS + 2)
    even = mels * LINEAR_HZ / LINEAR_MELS
    edges = np.where(mels < LINEAR_MELS, even, LINEAR_HZ * np.exp(STEP * (mels - LINEAR_MELS)))
    hertz = np.fft.rfftfreq(FRAME, 1 / SPEECH_RATE)
    rising = (hertz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - hertz) / (edges[2:] - edges[1:-1])[:, None]
    areas = 2 / (edges[2:] - edges[:-2])
    return np.asarray(np.clip(np.minimum(rising, falling), 0, None) * areas[:, None], np.float32)
