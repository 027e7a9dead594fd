"""Speech of any length in windows that fit in memory, cut where it is quietest."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from deployments.audio.audio_decoding import SPEECH_RATE

Samples = np.ndarray[Any, np.dtype[np.float32]]
"""Mono at 16 kHz, full scale is -1 to 1."""
SAMPLE_BYTES = 2
SEARCHED_SHARE, SEARCHED_S = 0.3, 10.0
"""Where a cut is looked for: in the last third, or the last ten seconds of something long."""
HOP = SPEECH_RATE // 20
PAUSE_HOPS = 5
GRID = SPEECH_RATE // 50
"""Cuts fall on it, so that frames of 20 ms go on in the next window where they ended."""


@dataclass(frozen=True)
class SpeechWindow:
    """A stretch of an audio file and the second at which it starts."""

    start_s: float
    samples: Samples

    @property
    def duration_s(self) -> float:
        """Its length."""
        return len(self.samples) / SPEECH_RATE

    @property
    def peak(self) -> float:
        """The loudest sample."""
        return float(np.abs(self.samples).max(initial=0.0))


def speech_windows(blocks: Iterator[bytes], *, longest_s: float) -> Iterator[SpeechWindow]:
    """The samples of `speech_blocks` without gap or overlap, in windows of at most `longest_s`.
    Holds one window and one block at a time.
    """
    longest = round(longest_s * SPEECH_RATE)
    held = bytearray()
    done = 0
    for block in blocks:
        held += block
        while len(held) > longest * SAMPLE_BYTES:
            cut = quiet_cut(_samples(bytes(held[: longest * SAMPLE_BYTES])))
            yield SpeechWindow(done / SPEECH_RATE, _samples(bytes(held[: cut * SAMPLE_BYTES])))
            del held[: cut * SAMPLE_BYTES]
            done += cut
    if held:
        yield SpeechWindow(done / SPEECH_RATE, _samples(bytes(held)))


def quiet_clips(samples: Samples, *, longest_s: float) -> list[dict[str, float]]:
    """Start and end in seconds of stretches of at most `longest_s` that cover the samples."""
    longest = round(longest_s * SPEECH_RATE)
    clips, start = [], 0
    while start < len(samples):
        rest = samples[start:]
        end = start + (len(rest) if len(rest) <= longest else quiet_cut(rest[:longest]))
        clips.append({"start": start / SPEECH_RATE, "end": end / SPEECH_RATE})
        start = end
    return clips


def quiet_cut(samples: Samples) -> int:
    """Where to cut near the end: the middle of the quietest quarter of a second there, of equals
    the last; the end itself when the samples are too few to choose.
    """
    hops = int(min(len(samples) * SEARCHED_SHARE, SEARCHED_S * SPEECH_RATE)) // HOP
    if hops <= PAUSE_HOPS:
        return len(samples)
    first = len(samples) - hops * HOP
    energy = np.square(samples[first:]).reshape(hops, HOP).sum(axis=1, dtype=np.float64)
    pauses = np.convolve(energy, np.ones(PAUSE_HOPS), mode="valid")
    quietest = len(pauses) - 1 - int(np.argmin(pauses[::-1]))
    return (first + quietest * HOP + PAUSE_HOPS * HOP // 2) // GRID * GRID


def _samples(pcm: bytes) -> Samples:
    samples: Samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32)
    samples /= 32768.0
    return samples
