"""Floating point samples of one rate to another, block by block."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from deployments.audio.audio_samples import Samples


def resampled(blocks: Iterator[Samples], source_rate: int, target_rate: int) -> Iterator[Samples]:
    """The same audio at another rate, not delayed."""
    if source_rate == target_rate:
        yield from blocks
        return
    resampler = Resampler(source_rate, target_rate)
    for block in blocks:
        yield resampler.push(block)
    yield resampler.finish()


class Resampler:
    """FFmpeg's, for blocks (channels, samples) of one or two channels."""

    def __init__(self, source_rate: int, target_rate: int) -> None:
        self._source_rate = source_rate
        self._target_rate = target_rate
        self._position = 0
        self._channels = 0
        self._resampler: Any = None

    def push(self, samples: Samples) -> Samples:
        """What is ready after these samples; the first ones say how many channels there are."""
        import av

        if self._resampler is None:
            self._channels = len(samples)
            self._resampler = av.AudioResampler("fltp", self._layout, self._target_rate)
        if samples.shape[1] == 0:
            return samples
        plain = np.ascontiguousarray(samples, dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(plain, format="fltp", layout=self._layout)
        frame.sample_rate = self._source_rate
        frame.time_base = Fraction(1, self._source_rate)
        frame.pts = self._position
        self._position += samples.shape[1]
        return self._joined(self._resampler.resample(frame))

    def finish(self) -> Samples:
        """The last samples."""
        if self._resampler is None:
            return np.zeros((1, 0), dtype=np.float32)
        return self._joined(self._resampler.resample(None))

    @property
    def _layout(self) -> str:
        return "mono" if self._channels == 1 else "stereo"

    def _joined(self, frames: list[Any]) -> Samples:
        empty = np.zeros((self._channels, 0), dtype=np.float32)
        return np.concatenate([empty, *(frame.to_ndarray() for frame in frames)], axis=1)
