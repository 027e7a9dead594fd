"""How loud speech is, frame by frame."""

from typing import Any

import numpy as np

from deployments.audio.audio_decoding import SPEECH_RATE
from deployments.audio.speech_windows import Samples

Levels = np.ndarray[Any, np.dtype[np.float32]]
FRAMES_PER_S = 50
HOP = SPEECH_RATE // FRAMES_PER_S
FRAME = SPEECH_RATE // 40
FAINTEST = 1e-10


def levels_db(samples: Samples) -> Levels:
    """In decibels of full scale, of frames of 25 ms every 20 ms; of one frame at least."""
    count = max(1, -(-len(samples) // HOP))
    padded = np.pad(samples, (0, max(0, (count - 1) * HOP + FRAME - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP][:count]
    power = np.square(frames, dtype=np.float32).mean(axis=1)
    return np.asarray(10 * np.log10(power + FAINTEST), dtype=np.float32)
