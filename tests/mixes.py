"""Mixes whose parts are known, as samples and as WAV files by the standard library."""

import io
import wave
from typing import Any

import numpy as np

Samples = np.ndarray[Any, np.dtype[np.float64]]
"""Shaped (channels, samples)."""


def music(rate: int, seconds: float) -> Samples:
    """Stereo: drum beats, a bass and chords that change; quieter than full scale."""
    moments = np.arange(round(rate * seconds)) / rate
    chords = np.array([(262, 330, 392), (220, 262, 330), (175, 220, 262), (196, 247, 294)])
    bar = (moments / 1.5).astype(int) % len(chords)
    decay = np.exp(-1.5 * (moments % 1.5))
    chord = sum(
        np.sin(2 * np.pi * k * chords[bar, note] * moments) / k**2
        for note in range(3)
        for k in (1, 2, 3)
    )
    noise = np.random.default_rng(7).standard_normal(len(moments))
    drums = 0.15 * noise * np.exp(-60 * (moments % 0.5))
    bass = 0.15 * np.sin(2 * np.pi * chords[bar, 0] / 4 * moments)
    left, right = 0.05 * chord * decay, 0.04 * chord * np.roll(decay, rate // 8)
    return np.stack([left + drums + bass, right + drums + bass])


def stereo_wav(samples: Samples, rate: int) -> bytes:
    """16 bits, of one channel or two."""
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(samples.shape[0])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.rint(samples.T * 32767).astype("<i2").tobytes())
    return target.getvalue()


def read(data: bytes) -> tuple[int, Samples]:
    """Rate and samples of a WAV file, which is as long as it says."""
    with wave.open(io.BytesIO(data)) as file:
        count, channels, rate = file.getnframes(), file.getnchannels(), file.getframerate()
        samples = np.frombuffer(file.readframes(count), "<i2").reshape(-1, channels)
        assert len(samples) == count
    return rate, samples.T / 32768


def sdr_db(wanted: Samples, found: Samples) -> float:
    """Signal to distortion, in decibels."""
    return float(10 * np.log10(np.sum(wanted**2) / np.sum((wanted - found) ** 2)))
