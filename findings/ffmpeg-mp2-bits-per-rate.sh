#!/bin/bash
# FFmpeg 9.0.2, as imageio-ffmpeg 0.8.1 brings it.
#
# One would guess: the MP2 encoder takes 192 kbit/s, a usual rate of MPEG program streams, for audio of every sample rate that it
# supports, or takes the nearest rate that it has.
# Instead: at 24 kHz and below, the layer has another table of rates that ends at 160 kbit/s, and the whole conversion ends with
# "bitrate 192 is not allowed in mp2". Speech is often recorded at 16 kHz. With `-ar 48000` the rate is allowed for every input.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "imageio-ffmpeg==0.8.1"
cd "$folder"
ffmpeg=$(venv/bin/python -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')
"$ffmpeg" -version | head -1
for rate in 16000 24000 44100 48000; do
  "$ffmpeg" -v error -f lavfi -i "sine=sample_rate=$rate:duration=1" -c:a mp2 -b:a 192k -f vob -y plain.mpg 2>told || true
  "$ffmpeg" -v error -f lavfi -i "sine=sample_rate=$rate:duration=1" -c:a mp2 -b:a 192k -ar 48000 -f vob -y moved.mpg
  refused=$(grep -c 'bitrate 192 is not allowed' told || true)
  echo "$rate Hz: refused $refused, with -ar 48000 $(stat -c %s moved.mpg) bytes" | tee -a printed
done
grep -q '^16000 Hz: refused 1' printed
grep -q '^24000 Hz: refused 1' printed
grep -q '^44100 Hz: refused 0' printed
grep -q '^48000 Hz: refused 0' printed
