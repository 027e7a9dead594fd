#!/bin/bash
# FFmpeg 9.0.2, as imageio-ffmpeg 0.8.1 brings it.
#
# One would guess: `-ss 3 -i in -c:v libx264 -c:a copy out` cuts both tracks at 3 s; only copied video needs an earlier key frame.
# Instead: the copied audio begins where the video's key frame was, a second before the cut. MP4 hides that behind an edit list
# with negative times; Matroska has none, so that everything is moved: the video begins a second late, after a second of audio
# from before the cut. `-copypriorss:a 0` leaves it out.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "imageio-ffmpeg==0.8.1" "av==18.1.0"
cd "$folder"
ffmpeg=$(venv/bin/python -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
"$ffmpeg" -version | head -1
"$ffmpeg" -v error -f lavfi -i testsrc=s=64x48:r=25:d=6 -f lavfi -i sine=d=6 \
  -c:v libx264 -g 50 -c:a libmp3lame whole.mkv
"$ffmpeg" -v error -ss 3 -i whole.mkv -c:v libx264 -c:a copy cut.mkv
"$ffmpeg" -v error -ss 3 -i whole.mkv -c:v libx264 -c:a copy -copypriorss:a 0 without.mkv
cat >begins.py <<'PYTHON'
import av


def begins(name: str) -> tuple[float, float]:
    with av.open(name) as file:
        first = {}
        for packet in file.demux():
            if packet.pts is not None:
                at_s = float(packet.pts * packet.time_base)
                first[packet.stream.type] = min(at_s, first.get(packet.stream.type, at_s))
    print(f"{name}: the image begins at {first['video']:.2f} s, the audio at {first['audio']:.2f} s")
    return first["video"], first["audio"]


video, audio = begins("cut.mkv")
assert video > 0.9 and audio < 0.1
video, audio = begins("without.mkv")
assert abs(video) < 0.1 and abs(audio) < 0.1
PYTHON
venv/bin/python begins.py
