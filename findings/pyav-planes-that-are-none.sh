#!/usr/bin/env bash
# PyAV 18.1.0
#
# One would guess: a planar audio frame has one plane for each of its channels.
#
# What happens: up to seven channels it has. Of 7.1 it lists nine, of eleven or sixteen channels some
# dozens, whose number changes: the list ends at the first null pointer behind the last plane. Whoever
# writes or reads "every plane" leaves the frame. Take as many as there are channels, or packed
# samples, whose one plane is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet av==18.1.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import av


def planes(layout: str, format: str) -> int:
    return len(av.AudioFrame(format=format, layout=layout, samples=1000).planes)


seen = {layout: planes(layout, "fltp") for layout in ("stereo", "6.1", "7.1", "16 channels")}
for layout, count in seen.items():
    print(f"{layout}: {count} planes, {planes(layout, 'flt')} where packed")
sys.exit((seen["stereo"], seen["6.1"]) != (2, 7) or seen["7.1"] == 8 or seen["16 channels"] == 16)
PYTHON
