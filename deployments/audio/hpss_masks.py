"""Which part of a spectrum belongs to which stem, told by signal processing alone.

Percussion is what stands out of a time median less than out of a frequency median (D. Fitzgerald,
Harmonic/percussive separation using median filtering, DAFx 2010). A voice is what changes against
the audio of the last second (after Z. Rafii and B. Pardo, REPET, 2013) and, in stereo, what both
channels share. Masks are in 0 to 1 and the masks of a mode sum to 1.
"""

from typing import Any

import numpy as np

from serve_app.core.audio.stems import StemMode, StemName

Real = np.ndarray[Any, np.dtype[np.float32]]
Spectrum = np.ndarray[Any, np.dtype[np.complex64]]
"""Shaped (channels, frames, bins)."""

TIME_TAPS = 17
FREQUENCY_TAPS = 17
STEADY_TAPS = 17
STEADY_STRIDE = 4
REACH_FRAMES = STEADY_TAPS // 2 * STEADY_STRIDE
"""How many frames to either side a frame's masks depend on."""
BASS_EDGE_HZ = (160.0, 320.0)
VOICE_LOW_HZ = (90.0, 160.0)
VOICE_HIGH_HZ = (9_000.0, 12_000.0)
SLAB = 128
TINY = np.float32(1e-12)


def masks(spectrum: Spectrum, hertz: Real, mode: StemMode) -> dict[StemName, Real]:
    """Per stem (frames, bins), for a spectrum whose bins lie at `hertz`."""
    magnitude = np.abs(spectrum).mean(axis=0)
    percussive = _percussive(magnitude)
    harmonic = 1 - percussive
    low = 1 - _rise(hertz, *BASS_EDGE_HZ)
    if mode == "drums-bass-other":
        return {"drums": percussive, "bass": harmonic * low, "other": harmonic * (1 - low)}
    voice = harmonic * _changing(magnitude) * _centred(spectrum) * _voiced_band(hertz)
    if mode == "vocals-instrumental":
        return {"vocals": voice, "instrumental": 1 - voice}
    bass = (harmonic - voice) * low
    return {
        "vocals": voice,
        "drums": percussive,
        "bass": bass,
        "other": harmonic - voice - bass,
    }


def _percussive(magnitude: Real) -> Real:
    held = _median(magnitude, TIME_TAPS, stride=1) ** 2
    struck = _median(magnitude.T, FREQUENCY_TAPS, stride=1).T ** 2
    return _real(struck / (held + struck + TINY))


def _changing(magnitude: Real) -> Real:
    """How little of a bin was there in the median of the last and the next half second."""
    lasting = np.minimum(magnitude, _median(magnitude, STEADY_TAPS, stride=STEADY_STRIDE))
    return _real(1 - (lasting / (magnitude + TINY)) ** 2)


def _centred(spectrum: Spectrum) -> Real:
    """How equal both channels are; 1 everywhere for mono."""
    if len(spectrum) == 1:
        return np.ones(spectrum.shape[1:], dtype=np.float32)
    left, right = spectrum
    shared = 2 * (left * right.conj()).real
    energy = (left * left.conj()).real + (right * right.conj()).real
    return _real(np.clip(shared / (energy + TINY), 0, 1) ** 2)


def _voiced_band(hertz: Real) -> Real:
    return _rise(hertz, *VOICE_LOW_HZ) * (1 - _rise(hertz, *VOICE_HIGH_HZ))


def _rise(hertz: Real, start: float, end: float) -> Real:
    """0 below `start`, 1 above `end`, half a cosine between."""
    share = np.clip((hertz - start) / (end - start), 0, 1)
    return _real(0.5 - 0.5 * np.cos(np.pi * share))


def _median(values: Real, taps: int, *, stride: int) -> Real:
    """The running median over the first axis, of every `stride`th neighbour. A slab of the other
    axis at a time, because the windows take `taps` times the memory of the values.
    """
    reach = taps // 2 * stride
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="symmetric")
    result = np.empty_like(values)
    for start in range(0, values.shape[1], SLAB):
        slab = padded[:, start : start + SLAB]
        windows = np.lib.stride_tricks.sliding_window_view(slab, 2 * reach + 1, axis=0)
        picked = np.ascontiguousarray(windows[..., ::stride])
        picked.partition(taps // 2, axis=-1)
        result[:, start : start + SLAB] = picked[..., taps // 2]
    return result


def _real(values: Any) -> Real:
    return np.asarray(values, dtype=np.float32)
