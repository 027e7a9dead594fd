"""Images are read by their pixels: whatever else is in the file, odd or huge, changes nothing."""

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deployments.media.image_decoding import decoded_image
from serve_app.archive.previews import measure, media_preview
from serve_app.blobs.sniff import kind_of, sniff
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.image_files import opened_image, unread
from serve_app.profiles.images import check_image

opened = unread("image/heic")
"""None: pillow-heif is there, and has made itself known to Pillow."""
SIZE = (64, 48)
Cases = Mapping[str, Callable[[], bytes]]
"""Files of some hundred megabytes, each made by the test that reads it."""


def coloured() -> Image.Image:
    """With every corner of another colour."""
    image = Image.new("RGB", SIZE, "black")
    for box, colour in {(0, 0): "red", (32, 0): "lime", (0, 24): "blue"}.items():
        image.paste(colour, (*box, box[0] + 32, box[1] + 24))
    return image


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    target = io.BytesIO()
    image.save(target, format, **options)
    return target.getvalue()


def chunk(name: bytes, data: bytes, *, is_damaged: bool = False) -> bytes:
    check = zlib.crc32(name + data) ^ is_damaged
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)


def png(*chunks: bytes, at_end: bool = False) -> bytes:
    """With chunks before the image, or behind it."""
    plain = saved(coloured(), "PNG")
    place = len(plain) - 12 if at_end else 33
    return plain[:place] + b"".join(chunks) + plain[place:]


def segment(marker: int, data: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data


def jpeg(*segments: bytes) -> bytes:
    plain = saved(coloured(), "JPEG", quality=95)
    return plain[:2] + b"".join(segments) + plain[2:]


def box(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data) + 8) + name + data


def jpeg_2000(*boxes: bytes) -> bytes:
    plain = saved(coloured(), "JPEG2000")
    place = plain.index(b"jp2h") - 4
    return plain[:place] + b"".join(boxes) + plain[place:]


def gif(*blocks: bytes) -> bytes:
    plain = saved(coloured(), "GIF")
    place = 13 + 3 * 2 ** ((plain[10] & 7) + 1)
    return plain[:place] + b"".join(blocks) + plain[place:]


@cache
def zeros(size: int) -> bytes:
    """Packed."""
    return zlib.compress(bytes(size))


def pngs() -> Cases:
    exif = b"MM\0*\0\0\0\x08\xff\xff"
    cases: dict[str, Callable[[], bytes]] = {
        "long text": lambda: png(chunk(b"tEXt", b"k\0" + b"x" * 70_000_000)),
        "a long text packed": lambda: png(chunk(b"zTXt", b"k\0\0" + zeros(2_000_000))),
        "texts that grow": lambda: png(*[chunk(b"zTXt", b"k\0\0" + zeros(100_000_000))] * 20),
        "unicode that grows": lambda: png(chunk(b"iTXt", b"k\0\1\0\0\0" + zeros(100_000_000))),
        "unicode that grows at the end": lambda: png(
            chunk(b"iTXt", b"k\0\1\0\0\0" + zeros(100_000_000)), at_end=True
        ),
        "editors' notes": lambda: png(
            chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b"x" * 9_000_000)
        ),
        "many texts": lambda: png(*[chunk(b"tEXt", b"k\0v")] * 50_000),
        "a profile that grows": lambda: png(chunk(b"iCCP", b"k\0\0" + zeros(100_000_000))),
        "a profile that is none": lambda: png(chunk(b"iCCP", b"k\0\0abc")),
        "a profile of another packing": lambda: png(chunk(b"iCCP", b"k\0\5" + zeros(2_000_000))),
        "exif of many entries": lambda: png(chunk(b"eXIf", exif + bytes(50))),
        "movement of no frames": lambda: png(chunk(b"acTL", bytes(8))),
        "movement that is none": lambda: png(chunk(b"acTL", b"\0"), chunk(b"fcTL", b"\0")),
        "claims of origin": lambda: png(chunk(b"caBX", bytes(30_000_000))),
        "something behind": lambda: png() + b"garbage" * 1000,
        "no end": lambda: png()[:-12],
    }
    for name in (b"tEXt", b"iTXt", b"zTXt", b"iCCP", b"eXIf", b"pHYs", b"gAMA", b"cHRM", b"sRGB"):
        for data, what in ((b"", "empty"), (b"\0", "odd"), (b"k\0abcdefgh", "odd too")):
            for at_end in (False, True):
                where = "at the end" if at_end else "in front"
                word = name.decode()
                cases[f"{word} {what} {where}"] = partial(png, chunk(name, data), at_end=at_end)
                damaged = chunk(name, data, is_damaged=True)
                cases[f"{word} {what} {where}, damaged"] = partial(png, damaged, at_end=at_end)
    return cases


def jpegs() -> Cases:
    exif, xmp = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
    return {
        "exif that is none": lambda: jpeg(segment(0xE1, exif + b"junk" * 50)),
        "exif that ends": lambda: jpeg(segment(0xE1, exif)),
        "exif that points away": lambda: jpeg(segment(0xE1, exif + b"II*\0\xff\xff\xff\xff")),
        "a lot of exif": lambda: jpeg(
            *[segment(0xE1, exif + b"II*\0\x08\0\0\0" + bytes(60_000))] * 20
        ),
        "editors' notes": lambda: jpeg(*[segment(0xE1, xmp + bytes(60_000))] * 300),
        "comments": lambda: jpeg(*[segment(0xFE, bytes(60_000))] * 300),
        "several images that are none": lambda: jpeg(segment(0xE2, b"MPF\0junk")),
        "several images of no number": lambda: jpeg(segment(0xE2, b"MPF\0II*\0\x08\0\0\0\0\0")),
        "a profile in too few parts": lambda: jpeg(segment(0xE2, b"ICC_PROFILE\0\1\5abc")),
        "a profile that ends": lambda: jpeg(segment(0xE2, b"ICC_PROFILE\0")),
        "a layout that ends": lambda: jpeg(segment(0xED, b"Photoshop 3.0\0008BIM\x03")),
        "colours that end": lambda: jpeg(segment(0xEE, b"Adobe")),
        "a header that ends": lambda: jpeg(segment(0xE0, b"JFIF")),
        "empty segments": lambda: jpeg(*[segment(marker, b"") for marker in range(0xE0, 0xF0)]),
        "filling": lambda: jpeg(b"\xff" * 1000),
        "something left over": lambda: jpeg(segment(0xFE, b"words") + b"\0\0\0"),
        "something behind": lambda: jpeg() + b"x" * 5000,
        "no end": lambda: jpeg()[:-2],
        "half an end": lambda: jpeg()[:-1],
    }


def others() -> Cases:
    twenty_mb = b"x" * 20_000_000
    return {
        "a lot of comments": lambda: gif(b"!\xfe" + (b"\xff" + b"c" * 255) * 80_000 + b"\0"),
        "notes in a gif": lambda: gif(
            b"!\xff\x0bXMP DataXMP" + (b"\xff" + b"c" * 255) * 80_000 + b"\0"
        ),
        "odd notes in a gif": lambda: gif(b"!\xff\x01a\0"),
        "notes in webp": lambda: saved(
            coloured(), "WEBP", lossless=True, xmp=twenty_mb, exif=b"Exif\0\0no"
        ),
        "notes in avif": lambda: saved(coloured(), "AVIF", quality=95, xmp=twenty_mb),
        "notes in heic": lambda: saved(coloured(), "HEIF", quality=95, xmp=twenty_mb),
        "notes in jpeg 2000": lambda: jpeg_2000(box(b"uuid", twenty_mb)),
        "text in jpeg 2000": lambda: jpeg_2000(box(b"xml ", twenty_mb)),
        "words in tiff": lambda: saved(coloured(), "TIFF", description="x" * 20_000_000),
    }


CASES = {**pngs(), **jpegs(), **others()}


@pytest.mark.parametrize("name", CASES)
def test_what_lies_beside_the_pixels_changes_nothing(tmp_path: Path, name: str) -> None:
    path = tmp_path / "picture"
    path.write_bytes(CASES[name]())
    read = decoded_image(path, param="image", max_pixels=10_000)
    assert read.warnings == ()
    assert read.image.size == SIZE
    away = np.abs(np.asarray(read.image, np.int16) - np.asarray(coloured(), np.int16))
    assert np.median(away) < 8
    check_image(path, param="image", pixels=10_000)
    seen = media_preview(path, "image")
    assert (seen.width, seen.height) == SIZE
    assert seen.preview is not None
    assert measure(path, "image").width == SIZE[0]


@pytest.mark.parametrize("is_progressive", [False, True])
def test_what_is_cut_off_in_its_pixels_is_refused(tmp_path: Path, is_progressive: bool) -> None:
    noise = Image.effect_noise((128, 96), 60).convert("RGB")
    whole = saved(noise, "JPEG", quality=90, progressive=is_progressive)
    path = tmp_path / "picture"
    for kept in (len(whole) // 3, len(whole) // 2, len(whole) - 200, len(whole) - 60):
        path.write_bytes(whole[:kept])
        with pytest.raises(InvalidRequest, match="cannot be decoded"):
            decoded_image(path, param="image", max_pixels=100_000)
        with pytest.raises(InvalidRequest, match="cannot be decoded"):
            check_image(path, param="image", pixels=100_000)
    if not is_progressive:
        path.write_bytes(whole[:-2])
        read = decoded_image(path, param="image", max_pixels=100_000).image
        with Image.open(io.BytesIO(whole)) as plain:
            assert read.tobytes() == plain.tobytes()


FILES = {
    "image/png": saved(coloured(), "PNG"),
    "image/jpeg": saved(coloured(), "JPEG", quality=95),
    "image/gif": saved(coloured(), "GIF"),
    "image/webp": saved(coloured(), "WEBP", lossless=True),
    "image/avif": saved(coloured(), "AVIF", quality=95),
    "image/heic": saved(coloured(), "HEIF", quality=95),
    "image/bmp": saved(coloured(), "BMP"),
    "image/tiff": saved(coloured(), "TIFF"),
    "image/jp2": saved(coloured(), "JPEG2000"),
    "image/x-jp2-codestream": saved(coloured(), "JPEG2000", no_jp2=True),
    "image/vnd.microsoft.icon": saved(coloured(), "ICO", sizes=[SIZE]),
}


@pytest.mark.parametrize("mime", FILES)
def test_images_of_every_kind_are_known_and_read(tmp_path: Path, mime: str) -> None:
    path = tmp_path / "picture"
    path.write_bytes(FILES[mime])
    assert sniff(FILES[mime][:4096]) == mime
    assert unread(mime) is None
    assert kind_of(mime) == "image"
    read = decoded_image(path, param="image", max_pixels=10_000)
    assert read.image.size == SIZE
    for place in ((16, 12), (48, 12), (16, 36), (48, 36)):
        red = np.asarray(read.image.getpixel(place), np.int16)
        assert np.abs(red - np.asarray(coloured().getpixel(place), np.int16)).max() < 30


@pytest.mark.parametrize(
    ("name", "image", "format", "options"),
    [
        ("cmyk", coloured().convert("CMYK"), "JPEG", {"quality": 95}),
        ("cmyk in tiff", coloured().convert("CMYK"), "TIFF", {"compression": "tiff_lzw"}),
        ("progressive", coloured(), "JPEG", {"quality": 95, "progressive": True}),
        ("grey", coloured().convert("L"), "JPEG", {}),
        ("two colours", coloured().convert("1"), "PNG", {}),
        ("two colours in tiff", coloured().convert("1"), "TIFF", {"compression": "group4"}),
        ("a palette", coloured().quantize(4), "PNG", {"transparency": 0}),
        ("a palette in gif", coloured().quantize(4), "GIF", {"transparency": 0}),
        ("large tiff", coloured(), "TIFF", {"big_tiff": True}),
        ("transparent", coloured().convert("RGBA"), "TIFF", {}),
        ("sixteen bits in jpeg 2000", coloured().convert("L").convert("I;16"), "JPEG2000", {}),
    ],
)
def test_images_in_every_colour(
    tmp_path: Path, name: str, image: Image.Image, format: str, options: dict[str, Any]
) -> None:
    path = tmp_path / name
    path.write_bytes(saved(image, format, **options))
    assert decoded_image(path, param="image", max_pixels=10_000).image.mode == "RGB"
    assert media_preview(path, "image").preview is not None


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_images_are_turned_in_every_format(tmp_path: Path, format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "maker"
    path = tmp_path / "picture"
    path.write_bytes(saved(coloured(), format, quality=95, exif=exif))
    turned = coloured().rotate({1: 0, 3: 180, 6: -90, 8: 90}[orientation], expand=True)
    read = decoded_image(path, param="image", max_pixels=10_000).image
    assert read.size == turned.size
    away = np.abs(np.asarray(read, np.int16) - np.asarray(turned, np.int16))
    assert np.median(away) < 8
    seen = media_preview(path, "image")
    assert (seen.width, seen.height) == turned.size
    assert seen.preview is not None
    with Image.open(io.BytesIO(seen.preview)) as preview:
        assert preview.size == turned.size


def test_brands_of_images_are_told_apart() -> None:
    def brands(*names: bytes) -> bytes:
        return (
            struct.pack(">I", 8 + 4 * len(names) + 4)
            + b"ftyp"
            + names[0]
            + bytes(4)
            + b"".join(names[1:])
        )

    assert sniff(brands(b"mif1", b"mif1", b"avif", b"miaf")) == "image/avif"
    assert sniff(brands(b"mif1", b"mif1", b"heic")) == "image/heic"
    assert sniff(brands(b"msf1", b"msf1", b"hevc", b"mif1")) == "image/heic"
    assert sniff(brands(b"isom", b"isom", b"avc1", b"mp41")) == "video/mp4"


WITHOUT_HEIF = """
import sys
from pathlib import Path
sys.modules["pillow_heif"] = None
from serve_app.core.image.image_files import opened_image, unread
print(unread("image/heic"))
with opened_image(Path(sys.argv[1])) as (image, _):
    print(image.format)
"""


def test_heic_is_refused_by_name_where_it_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(FILES["image/png"])
    command = [sys.executable, "-c", WITHOUT_HEIF, str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told == (
        "HEIC images need pillow-heif on the server; send PNG, JPEG, WebP or AVIF\nPNG\n"
    )


def test_what_would_run_a_program_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "picture.eps"
    path.write_bytes(saved(coloured(), "EPS"))
    with pytest.raises(Image.UnidentifiedImageError), opened_image(path):
        pass
