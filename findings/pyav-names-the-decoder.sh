#!/bin/bash
# PyAV 18.1.0.
#
# One would guess: `stream.codec_context.name` is the codec's name, as `ffprobe` prints it: a list of codecs that a container can
# hold is compared with it.
# Instead: it is the decoder's. MP3 is `mp3float`, while AAC, AC-3, Opus and FLAC are called as one expects, so that such a list
# works in most tests. `codec_context.codec.canonical_name` is the codec.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "av==18.1.0" "numpy==2.3.5"
cd "$folder"
cat >names.py <<'PYTHON'
import av
import numpy as np

print("PyAV", av.__version__)
FORMATS = {"libmp3lame": "mp3", "ac3": "ac3", "aac": "mp4", "libopus": "ogg", "flac": "flac"}
found = {}
for encoder, suffix in FORMATS.items():
    with av.open(f"tone.{suffix}", "w") as written:
        track = written.add_stream(encoder, rate=48_000, layout="mono")
        samples = (8000 * np.sin(np.arange(48_000) / 20)).astype("<i2").reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = 48_000
        for packet in [*track.encode(frame), *track.encode(None)]:
            written.mux(packet)
    with av.open(f"tone.{suffix}") as read:
        context = read.streams.audio[0].codec_context
        found[suffix] = (context.name, context.codec.canonical_name)
        print(suffix, *found[suffix])
assert found["mp3"] == ("mp3float", "mp3")
assert all(name == codec for suffix, (name, codec) in found.items() if suffix != "mp3")
PYTHON
venv/bin/python names.py
