"""What signal processing knows of a voice: its median pitch and its long-term average spectrum."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from deployments.audio.audio_decoding import BYTES_PER_SECOND, SPEECH_RATE
from deployments.audio.pitch import HIGHEST_SPOKEN_HZ, median_pitch

Levels = np.ndarray[Any, np.dtype[np.float64]]

FRAME = 512
EDGES_HZ = 125.0 * 2 ** (np.arange(18) / 3 - 1 / 6)
"""Third-octave bands around 125 Hz to 5 kHz."""
CENTRES_HZ = tuple(float(hz) for hz in np.sqrt(EDGES_HZ[1:] * EDGES_HZ[:-1]))
LOUD_SHARE = 0.03
"""Frames with less than this share of the loudest one's power are pauses."""
AUDIBLE_DB = 45.0
"""A band further below the strongest one holds nothing: the recording's channel ended there."""
MOST_DB = 10.0
GAINS_MEAN_S = 0.5

Gains = tuple[tuple[float, float], ...]
"""Hz and decibels, by rising frequency."""


@dataclass(frozen=True)
class VoiceCharacter:
    """`pitch_hz` is None where nothing is voiced; `bands` are mean powers of `CENTRES_HZ`."""

    pitch_hz: float | None
    bands: tuple[float, ...]


def measured_character(
    blocks: Iterator[bytes],
    stop: Callable[[], bool],
    *,
    highest_hz: float = HIGHEST_SPOKEN_HZ,
) -> VoiceCharacter:
    """Of signed 16-bit mono at 16 kHz, in bounded memory."""
    spectrum = LongTermSpectrum()
    pitch_hz = median_pitch(spectrum.overhearing(blocks), stop, highest_hz=highest_hz)
    return VoiceCharacter(pitch_hz, spectrum.bands())


class LongTermSpectrum:
    """The mean power of an audio file's loud moments in third-octave bands."""

    def __init__(self) -> None:
        self._sums = np.zeros(len(CENTRES_HZ))
        self._loudest = 0.0
        hertz = np.fft.rfftfreq(FRAME, 1 / SPEECH_RATE)
        self._band_of = np.searchsorted(EDGES_HZ, hertz) - 1
        self._window = np.hanning(FRAME)

    def overhearing(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """The blocks, in pieces of half a second, as they are."""
        held = bytearray()
        for block in blocks:
            held += block
            if len(held) >= GAINS_MEAN_S * BYTES_PER_SECOND:
                self._add(bytes(held))
                yield bytes(held)
                held.clear()
        if held:
            self._add(bytes(held))
            yield bytes(held)

    def bands(self) -> tuple[float, ...]:
        """Powers on an arbitrary scale."""
        return tuple(map(float, self._sums))

    def _add(self, pcm: bytes) -> None:
        samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64) / 32768
        frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
        power = (frames**2).mean(axis=1)
        self._loudest = max(self._loudest, power.max(initial=0.0))
        loud = frames[power > LOUD_SHARE * self._loudest] * self._window
        bins = (np.abs(np.fft.rfft(loud, axis=1)) ** 2).sum(axis=0)
        for band in range(len(CENTRES_HZ)):
            self._sums[band] += bins[self._band_of == band].sum()


def timbre_gains(source: VoiceCharacter, target: VoiceCharacter) -> Gains:
    """What brings the source's average spectrum to the target's at the same loudness: smoothed, at
    most `MOST_DB` either way. Empty when one of them is silent.
    """
    own, wanted = np.array(source.bands), np.array(target.bands)
    if own.max(initial=0.0) <= 0 or wanted.max(initial=0.0) <= 0:
        return ()
    own_db, wanted_db = _decibels(own), _decibels(wanted)
    is_audible = (own_db > -AUDIBLE_DB) & (wanted_db > -AUDIBLE_DB)
    if not is_audible.any():
        return ()
    places = np.arange(len(own))
    gains = np.interp(places, places[is_audible], (wanted_db - own_db)[is_audible])
    smooth = np.convolve(np.pad(gains, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    bounded = np.clip(smooth - np.median(smooth), -MOST_DB, MOST_DB)
    louder = 10 * np.log10(np.sum(own * 10 ** (bounded / 10)) / np.sum(own))
    return tuple((hz, float(gain - louder)) for hz, gain in zip(CENTRES_HZ, bounded, strict=True))


def _decibels(powers: Levels) -> Levels:
    """Against the strongest band."""
    decibels: Levels = 10 * np.log10(np.maximum(powers / powers.max(), 1e-12))
    return decibels
