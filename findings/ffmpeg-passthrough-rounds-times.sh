#!/bin/bash
# FFmpeg 9.0.2, as imageio-ffmpeg 0.8.1 brings it.
#
# One would guess: `-fps_mode passthrough` writes every frame with the time that the filters gave it.
# Instead: times are rounded to one over the frame rate of the input before they are encoded. Three slides of two seconds each,
# moved to 0, 1 and 3 s by `setpts`, come out at 0, 2 and 4 s. `-enc_time_base filter` lets the encoder count in the unit of the
# filters, and the times stay. Recordings of a screen and slide shows, whose rate is low and whose times are fine, need it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "imageio-ffmpeg==0.8.1" "av==18.1.0"
cd "$folder"
ffmpeg=$(venv/bin/python -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
"$ffmpeg" -version | head -1
cat >times.py <<'PYTHON'
import sys

import av

with av.open(sys.argv[1]) as video:
    print([float(frame.pts * frame.time_base) for frame in video.decode(video=0)])
PYTHON
moved='setpts=max(PTS-1/TB\,0)'
"$ffmpeg" -v error -f lavfi -i testsrc=s=64x48:r=1/2:d=6 -c:v libx264 -bf 0 slides.mp4
"$ffmpeg" -v error -i slides.mp4 -vf "$moved" -fps_mode passthrough -bf 0 passed.mp4
"$ffmpeg" -v error -i slides.mp4 -vf "$moved" -fps_mode passthrough -enc_time_base filter -bf 0 kept.mp4
for name in slides passed kept; do
  echo "$name: $(venv/bin/python times.py $name.mp4)" | tee -a printed
done
grep -qx 'slides: \[0.0, 2.0, 4.0\]' printed
grep -qx 'passed: \[0.0, 2.0, 4.0\]' printed
grep -qx 'kept: \[0.0, 1.0, 3.0\]' printed
