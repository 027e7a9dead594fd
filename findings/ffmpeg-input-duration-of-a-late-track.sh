#!/bin/bash
# FFmpeg 9.0.2, as imageio-ffmpeg 0.8.1 brings it.
#
# One would guess: `-t 4` before `-i` and after it give the same four seconds of a file.
# Instead: before `-i` each track has its own four seconds, counted from its first packet. Where the image begins 2 s late, its
# last frame is that of 6 s, two seconds behind the end of the audio. After `-i` both end at 4 s. (`-to` before `-i` is turned into
# a `-t`, so it does the same.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "imageio-ffmpeg==0.8.1" "av==18.1.0"
cd "$folder"
ffmpeg=$(venv/bin/python -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
"$ffmpeg" -version | head -1
"$ffmpeg" -v error -itsoffset 2 -f lavfi -i testsrc=s=64x48:r=25:d=6 -f lavfi -i sine=d=8 -c:v libx264 -c:a aac late.mkv
"$ffmpeg" -v error -t 4 -i late.mkv -c:v libx264 -c:a aac before.mkv
"$ffmpeg" -v error -to 4 -i late.mkv -c:v libx264 -c:a aac until.mkv
"$ffmpeg" -v error -i late.mkv -t 4 -c:v libx264 -c:a aac after.mkv
cat >ends.py <<'PYTHON'
import av


def last(name: str) -> tuple[float, float]:
    with av.open(name) as file:
        ends = {"video": 0.0, "audio": 0.0}
        for packet in file.demux():
            if packet.pts is not None:
                at_s = float(packet.pts * packet.time_base)
                ends[packet.stream.type] = max(at_s, ends[packet.stream.type])
    print(f"{name}: last image at {ends['video']:.2f} s, last audio at {ends['audio']:.2f} s")
    return ends["video"], ends["audio"]


for name in ("before.mkv", "until.mkv"):
    video, audio = last(name)
    assert video > 5.9 and audio < 4.1
video, audio = last("after.mkv")
assert 3.9 < video < 4 and audio < 4.1
PYTHON
venv/bin/python ends.py
