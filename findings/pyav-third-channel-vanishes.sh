#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8.0), numpy 2.3.5
#
# One would guess: a WAV file of three channels, such as recorders with a microphone each write, is
# brought down to mono as their mean, or at least with something of each; and one of sixteen as well.
#
# What happens: WAV says no order of channels, so FFmpeg takes three for "2.1", and its mono leaves the
# channel of the bass out: what was said into the third microphone is gone, without error or warning.
# Of six the fourth is lost, of sixteen the fourth and the last four, which are taken for loudspeakers
# under the ceiling. Whoever wants to hear everybody mixes the channels.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet av==18.1.0 numpy==2.3.5
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import wave

import av
import numpy as np

RATE = 16_000
tone = (10_000 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype("<i2")


def mono(channels: int, speaking: int) -> str:
    """What is left of a tone in one channel of several."""
    frames = np.zeros((RATE, channels), dtype="<i2")
    frames[:, speaking] = tone
    with wave.open("sound.wav", "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(frames.tobytes())
    with av.open("sound.wav") as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        peak = 0
        for frame in container.decode(audio=0):
            for piece in resampler.resample(frame):
                peak = max(peak, int(np.abs(piece.to_ndarray().astype(int)).max()))
    return "silence" if peak < 10 else "heard"


PLACES = ((2, 1), (3, 1), (3, 2), (6, 3), (16, 2), (16, 15))
seen = {f"{n} channels, number {k + 1}": mono(n, k) for n, k in PLACES}
for what, heard in seen.items():
    print(f"{what}: {heard}")
lost = [what for what, heard in seen.items() if heard == "silence"]
sys.exit(lost != ["3 channels, number 3", "6 channels, number 4", "16 channels, number 16"])
PYTHON
