#!/usr/bin/env bash
# Pillow 13.0.0
#
# One would guess: Image.open leaves a picture as it lies in the file, whatever its format, and
# getexif() says how it is to be turned, so that reading the orientation and transposing by it shows
# every picture upright.
#
# What happens: that holds for JPEG, PNG, WebP and AVIF. TIFF files are turned by Pillow while their
# pixels are read, and their size is told as turned from the beginning, but getexif() still says
# "turn" until then: whoever asks first and transposes afterwards turns them twice.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import io
import sys

from PIL import Image

ON_ITS_SIDE = 6
seen = {}
for name in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF"):
    exif = Image.Exif()
    exif[0x0112] = ON_ITS_SIDE
    file = io.BytesIO()
    Image.new("RGB", (40, 20)).save(file, name, exif=exif)
    with Image.open(file) as image:
        told, size = image.getexif()[0x0112], image.size
        image.load()
        seen[name] = (told, size, image.size, image.getexif().get(0x0112, 1))
        print(f"{name}: told {told}, {size} at first, {image.size} and {seen[name][3]} when read")
plain = (6, (40, 20), (40, 20), 6)
others = {name: facts for name, facts in seen.items() if name != "TIFF"}
sys.exit(set(others.values()) != {plain} or seen["TIFF"][0] != 6 or seen["TIFF"][2:] != ((20, 40), 1))
PYTHON
