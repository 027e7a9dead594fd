#!/bin/bash
# faster-whisper 1.2.1 with PyAV 18.1.0.
#
# One would guess: the times of `WhisperModel.transcribe("film.mp4")` are those of the film, as subtitles need them.
# Instead: its decoder (`faster_whisper.decode_audio`, which `transcribe` calls for a path) puts the samples of the first sound
# track one after the other and looks at no timestamp: a track that starts 4 s after the picture, as streaming services
# deliver films, and one with a pause come out early by as much, and every segment and word with them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet faster-whisper==1.2.1 av==18.1.0 imageio-ffmpeg==0.8.1
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import subprocess
import sys

import imageio_ffmpeg
import numpy as np
from faster_whisper import decode_audio


def ffmpeg(*arguments: str) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments]
    subprocess.run(command, check=True)


picture = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=8")
tone = ("-f", "lavfi", "-i", "sine=r=16000:d=3,volume='9*gte(t,2)':eval=frame")
seen = []
for film in ("late.mp4", "late.mkv"):
    late = ("-itsoffset", "4", *tone, "-map", "0", "-map", "1", "-c:v", "mpeg4", "-c:a", "aac")
    ffmpeg(*picture, *late, film)
    samples = decode_audio(film)
    begin_s = round(int(np.flatnonzero(np.abs(samples) > 0.1)[0]) / 16_000)
    seen.append((begin_s, round(len(samples) / 16_000)))
    print(f"{film}: the tone of second 6 of the film is at {begin_s} s of the samples, which last {seen[-1][1]} s")
sys.exit(seen != [(2, 3), (2, 3)])
PYTHON
