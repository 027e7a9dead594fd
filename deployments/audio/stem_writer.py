"""Stems on their way from a model, which has its own rate and channels, into files of the mix's."""

from typing import BinaryIO

import numpy as np

from deployments.audio.audio_resampling import Resampler
from deployments.audio.audio_samples import Audio, Samples, WavFile


class StemWriter:
    """A stem on its way into a WAV file of the mix's rate, channels and length."""

    def __init__(self, file: BinaryIO, mix: Audio, model_rate: int) -> None:
        self._file = WavFile(file, sample_rate=mix.sample_rate, channels=mix.channels)
        self._channels = mix.channels
        is_same = mix.sample_rate == model_rate
        self._resampler = None if is_same else Resampler(model_rate, mix.sample_rate)

    def write(self, samples: Samples) -> None:
        """Append samples of the model's rate and channels."""
        samples = with_channels(samples, self._channels)
        self._file.write(self._resampler.push(samples) if self._resampler else samples)

    def finish(self, count: int) -> None:
        """Complete the file, `count` samples long: resampling twice may have lost one or two, or
        made some of the filter's ringing.
        """
        if self._resampler:
            self._file.write(self._resampler.finish())
        self._file.cut_to(count)
        self._file.finish()


def with_channels(samples: Samples, channels: int) -> Samples:
    """Mono on both channels, or both channels as mono."""
    if len(samples) == channels:
        return samples
    if channels == 1:
        return np.asarray(samples.mean(axis=0, keepdims=True), dtype=np.float32)
    return np.repeat(samples[:1], channels, axis=0)
