#!/bin/bash
# FFmpeg 9.0.2, as imageio-ffmpeg 0.8.1 brings it.
#
# One would guess: `-ss` before `-i`, with the video encoded again, is exact: reading begins at the key frame before, and what is
# before the second is decoded and dropped.
# Instead it begins late in two kinds of files:
# - MPEG-TS: the seek lands behind the second, and the first frame is that of the next key frame: 2.0 s where 1.5 s was asked for.
# - MP4 with open groups of pictures: a key frame that is shown at 2.0 s is decoded before the frames of 1.92 and 1.96 s, so that
#   the seek takes it for a place before 1.96 s, and that frame is lost.
# `-ss` after `-i`, or a seek of one's own to an earlier key frame, finds them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "imageio-ffmpeg==0.8.1"
cd "$folder"
ffmpeg=$(venv/bin/python -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
"$ffmpeg" -version | head -1
source=(-f lavfi -i testsrc=s=64x48:r=25:d=6 -c:v libx264)
"$ffmpeg" -v error "${source[@]}" -g 50 -bf 2 closed.mp4
"$ffmpeg" -v error "${source[@]}" -g 50 -bf 2 closed.ts
"$ffmpeg" -v error "${source[@]}" -x264-params open-gop=1:keyint=50:bframes=3:b-pyramid=strict:scenecut=0 open.mp4
"$ffmpeg" -v error -i closed.mp4 -f framemd5 -pix_fmt gray closed.list
"$ffmpeg" -v error -i open.mp4 -f framemd5 -pix_fmt gray open.list

# The number of the frame that comes first.
first() {
  list=$1
  shift
  sum=$("$ffmpeg" -v quiet "$@" -frames:v 1 -f framemd5 -pix_fmt gray - | grep -v '^#' | awk '{print $NF}')
  grep -v '^#' "$list" | grep -n "$sum" | cut -d: -f1 | awk '{print $1 - 1}'
}

mp4=$(first closed.list -ss 1.5 -i closed.mp4)
ts=$(first closed.list -ss 1.5 -i closed.ts)
before=$(first open.list -ss 1.96 -i open.mp4)
behind=$(first open.list -i open.mp4 -ss 1.96)
echo "1.5 s: frame $mp4 of MP4, frame $ts of MPEG-TS; 1.96 s of open groups: $before, with -ss behind -i: $behind"
[ "$mp4" = 38 ] && [ "$ts" = 50 ] && [ "$before" = 50 ] && [ "$behind" = 49 ]
