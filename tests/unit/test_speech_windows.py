"""Cutting speech where it is quiet."""

from collections.abc import Iterator

import numpy as np
import pytest

from deployments.audio.audio_decoding import SPEECH_RATE
from deployments.audio.speech_windows import quiet_clips, quiet_cut, speech_windows


def loud(seconds: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.full(round(seconds * SPEECH_RATE), 0.5, dtype=np.float32)


def blocks(samples: np.ndarray[tuple[int], np.dtype[np.float32]]) -> Iterator[bytes]:
    pcm = (samples * 32768).astype("<i2").tobytes()
    for start in range(0, len(pcm), 2 * 1000):
        yield pcm[start : start + 2 * 1000]


@pytest.mark.parametrize("pause_s", [7.5, 8.0, 9.2])
def test_a_cut_lies_in_the_pause(pause_s: float) -> None:
    samples = loud(10.0)
    first, last = round(pause_s * SPEECH_RATE), round((pause_s + 0.4) * SPEECH_RATE)
    samples[first:last] = 0
    assert first <= quiet_cut(samples) <= last


def test_without_a_pause_it_lies_at_the_end() -> None:
    assert 9.8 * SPEECH_RATE < quiet_cut(loud(10.0)) <= 10 * SPEECH_RATE
    assert quiet_cut(loud(0.1)) == round(0.1 * SPEECH_RATE)


@pytest.mark.parametrize("seconds", [0.0, 0.01, 4.0, 4.001, 30.5])
def test_windows_hold_every_sample_once(seconds: float) -> None:
    samples = np.linspace(-0.9, 0.9, round(seconds * SPEECH_RATE)).astype(np.float32)
    windows = list(speech_windows(blocks(samples), longest_s=4.0))
    assert all(0 < window.duration_s <= 4.0 for window in windows)
    assert len(windows) == 0 if seconds == 0 else len(windows) >= seconds / 4
    starts = np.cumsum([0.0, *(window.duration_s for window in windows)])
    assert [window.start_s for window in windows] == pytest.approx(list(starts[:-1]))
    joined = np.concatenate([np.zeros(0), *(window.samples for window in windows)])
    assert len(joined) == len(samples)
    assert all(len(window.samples) % (SPEECH_RATE // 50) == 0 for window in windows[:-1])
    assert np.abs(joined - samples).max(initial=0) < 1e-4


def test_clips_cover_the_samples() -> None:
    clips = quiet_clips(loud(65.0), longest_s=30.0)
    assert clips[0]["start"] == 0
    assert clips[-1]["end"] == 65.0
    assert [clip["end"] for clip in clips[:-1]] == [clip["start"] for clip in clips[1:]]
    assert all(clip["end"] - clip["start"] <= 30.0 for clip in clips)
    assert quiet_clips(loud(0), longest_s=30.0) == []
