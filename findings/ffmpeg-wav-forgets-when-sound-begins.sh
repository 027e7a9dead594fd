#!/bin/bash
# The ffmpeg of imageio-ffmpeg 0.8.1.
#
# One would guess: `ffmpeg -i film.mkv -vn sound.wav` gives the sound as it is heard with the film, so that what is found in
# the WAV at a second is heard in the film at that second.
# Instead: what is encoded to WAV begins with the first sample that there is, and a pause in the packets (a recording that was
# paused or muted) is closed: all that follows is early, by the late start and by the pause, without a word on stderr. Into a
# container that keeps times (here Matroska) the same command keeps both. `-af aresample=async=1:first_pts=0` fills both in.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet imageio-ffmpeg==0.8.1 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import subprocess
import sys
import wave

import imageio_ffmpeg
import numpy as np


def ffmpeg(*arguments: str) -> bytes:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "warning", "-y", *arguments]
    return subprocess.run(command, check=True, capture_output=True).stderr


def heard_at(path: str) -> float:
    """When the tone begins that is the last second of every sound here."""
    with wave.open(path) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return round(int(np.flatnonzero(np.abs(samples) > 3000)[0]) / file.getframerate(), 1)


picture = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=8")
tone = ("-f", "lavfi", "-i", "sine=r=16000:d=3,volume='9*gte(t,2)':eval=frame")
kinds = ("-c:v", "mpeg4", "-c:a", "flac")
ffmpeg(*picture, "-itsoffset", "4", *tone, "-map", "0", "-map", "1", *kinds, "late.mkv")
paused = ("-af", "asetpts='PTS+if(gte(T,1),4/TB,0)'")
ffmpeg(*picture, *tone, *paused, "-map", "0", "-map", "1", *kinds, "paused.mkv")

seen = []
for film in ("late.mkv", "paused.mkv"):
    said = ffmpeg("-i", film, "-vn", "-ac", "1", "plain.wav")
    ffmpeg("-i", film, "-vn", "-c:a", "flac", "sound.mka")
    filled = ("-af", "aresample=async=1:first_pts=0")
    ffmpeg("-i", film, "-vn", *filled, "filled.wav")
    seen.append((film, heard_at("plain.wav"), heard_at("filled.wav"), said))
    print(f"{film}: the tone of second 6 is at {seen[-1][1]} s of the WAV, at {seen[-1][2]} s when filled")
sys.exit(seen != [("late.mkv", 2.0, 6.0, b""), ("paused.mkv", 2.0, 6.0, b"")])
PYTHON
