#!/bin/bash
# PyAV 18.1.0 (FFmpeg 8.1).
#
# One would guess: a file that libavformat reads to its end is as long as `container.duration` says; and that `cat` joins
# transport streams only, of other containers the first is read.
# Instead: WebM, Matroska and program streams joined by `cat` are read whole as well, without a warning; `container.duration`
# is that of the first recording alone, packets and frames of the second one begin again at the first one's times, and a
# reader that sorts by time, or takes what falls back for damage, loses half. The length has to be counted from the packets.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet av==18.1.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

CODECS = {"webm": "libvpx", "mkv": "mpeg4", "ts": "mpeg2video", "vob": "mpeg2video"}


def recording(path: str, codec: str) -> None:
    with av.open(path, "w") as file:
        stream = file.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(100):
            shade = np.full((48, 64, 3), 2 * number, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(shade, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


seen = {}
for kind, codec in CODECS.items():
    recording(f"one.{kind}", codec)
    Path(f"two.{kind}").write_bytes(Path(f"one.{kind}").read_bytes() * 2)
    with av.open(f"two.{kind}") as file:
        told_s = round(file.duration / av.time_base, 1)
        times = [frame.time for frame in file.decode(video=0)]
    falls = sum(1 for before, after in zip(times, times[1:]) if after < before)
    seen[kind] = (told_s, len(times), falls)
    print(f"{kind}: two recordings of 4 s and 100 frames; told {told_s} s, read {len(times)} frames, time falls {falls}x")
sys.exit(any(told_s > 4 or (frames, falls) != (200, 1) for told_s, frames, falls in seen.values()))
PYTHON
