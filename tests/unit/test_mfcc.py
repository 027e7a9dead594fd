"""Cepstral coefficients against scipy's transform and known properties."""

import numpy as np
from scipy.fft import dct

from deployments.audio.audio_decoding import SPEECH_RATE
from deployments.audio.mfcc import BANDS, COEFFICIENTS, FRAMES_PER_S, cosines, mfcc


def sine(hz: float, *, loudness: float = 0.3) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    moments = np.arange(SPEECH_RATE) / SPEECH_RATE
    return (loudness * np.sin(2 * np.pi * hz * moments)).astype(np.float32)


def test_the_transform_is_the_orthonormal_cosine_transform() -> None:
    bands = np.random.default_rng(0).standard_normal((7, BANDS)).astype(np.float32)
    expected = dct(bands, type=2, axis=1, norm="ortho")[:, 1 : COEFFICIENTS + 1]
    assert np.allclose(bands @ cosines().T, expected, atol=1e-5)


def test_a_frame_every_fiftieth_of_a_second() -> None:
    features, level_db = mfcc(sine(440))
    assert features.shape == (FRAMES_PER_S, COEFFICIENTS)
    assert level_db.shape == (FRAMES_PER_S,)
    assert len(mfcc(np.zeros(0, dtype=np.float32))[1]) == 1


def test_levels_are_decibels_of_full_scale() -> None:
    _, level_db = mfcc(sine(440, loudness=0.1))
    assert np.allclose(level_db[1:-2], 20 * np.log10(0.1) - 3.01, atol=0.2)


def test_loudness_changes_little_and_timbre_much() -> None:
    quiet, loud, other = (
        mfcc(audio)[0][5:-5].mean(axis=0)
        for audio in (sine(440, loudness=0.1), sine(440), sine(2_000))
    )
    assert np.linalg.norm(loud - quiet) < 0.1 * np.linalg.norm(loud - other)
