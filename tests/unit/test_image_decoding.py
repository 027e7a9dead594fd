"""Files of every kind as plain images."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from deployments.media.image_decoding import DecodedImage, decoded_image
from serve_app.core.errors import InvalidRequest, PayloadTooLarge
from tests.images import claiming_png, huge_png, png
from tests.notices import texts_of

LIMIT = 64_000_000


def decoded(data: bytes, tmp_path: Path, limit: int = LIMIT) -> DecodedImage:
    path = tmp_path / "picture"
    path.write_bytes(data)
    return decoded_image(path, param="image", max_pixels=limit)


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    target = io.BytesIO()
    image.save(target, format, **options)
    return target.getvalue()


def damaged_avif() -> bytes:
    whole = bytearray(saved(Image.new("RGB", (64, 64), "red"), "AVIF"))
    data = whole.find(b"mdat")
    whole[data + 4 :] = b"\xff" * (len(whole) - data - 4)
    return bytes(whole)


def pixel(image: DecodedImage) -> Any:
    return image.image.getpixel((0, 0))


@pytest.mark.parametrize(
    ("mode", "colour", "format"),
    [
        ("RGB", (200, 30, 60), "PNG"),
        ("CMYK", (0, 255, 255, 0), "TIFF"),
        ("L", 90, "PNG"),
        ("1", 1, "PNG"),
        ("LAB", (140, 128, 128), "TIFF"),
        ("P", 3, "PNG"),
        ("RGB", (200, 30, 60), "WEBP"),
    ],
)
def test_colours_become_rgb(mode: str, colour: Any, format: str, tmp_path: Path) -> None:
    image = decoded(saved(Image.new(mode, (3, 2), colour), format), tmp_path)
    assert (image.image.mode, image.image.size) == ("RGB", (3, 2))
    assert image.alpha is None
    assert image.warnings == ()


def test_cmyk_is_turned_into_the_colours_it_prints(tmp_path: Path) -> None:
    red = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    r, g, b = pixel(decoded(saved(red, "JPEG", quality=95), tmp_path))
    assert r > 240
    assert max(g, b) < 15


@pytest.mark.parametrize(("value", "grey"), [(0, 0), (32_768, 128), (65_535, 255), (200, 1)])
def test_sixteen_bits_are_reduced_not_cut_off(value: int, grey: int, tmp_path: Path) -> None:
    deep = Image.fromarray(np.full((2, 2), value, np.uint16))
    image = decoded(saved(deep, "PNG"), tmp_path)
    assert pixel(image) == (grey, grey, grey)
    assert texts_of(image.warnings) == ("image: reduced to 8 bits per channel",)


def test_floats_are_read_from_0_to_1(tmp_path: Path) -> None:
    assert pixel(decoded(saved(Image.new("F", (1, 1), 0.5), "TIFF"), tmp_path)) == (128,) * 3


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_kept_apart(mode: str, tmp_path: Path) -> None:
    colour = (200, 30, 60, 77) if mode == "RGBA" else (90, 77)
    image = decoded(saved(Image.new(mode, (3, 2), colour), "PNG"), tmp_path)
    assert image.alpha is not None
    assert (image.alpha.mode, image.alpha.getpixel((0, 0))) == ("L", 77)
    assert pixel(image) == (colour[:3] if mode == "RGBA" else (90, 90, 90))


def test_a_transparent_palette_entry_is_transparency(tmp_path: Path) -> None:
    palette = Image.new("P", (2, 2), 1)
    palette.putpalette([255, 0, 0, 0, 255, 0])
    image = decoded(saved(palette, "PNG", transparency=1), tmp_path)
    assert image.alpha is not None
    assert image.alpha.getpixel((0, 0)) == 0
    assert pixel(image) == (0, 255, 0)


def test_exif_turns_the_image(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = Image.new("RGB", (4, 2), "blue")
    lying.putpixel((0, 0), (255, 0, 0))
    image = decoded(saved(lying, "PNG", exif=exif), tmp_path)
    assert image.image.size == (2, 4)
    assert image.image.getpixel((1, 0)) == (255, 0, 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_odd_exif_data_leaves_the_image_as_upright_as_others(
    tmp_path: Path, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = orientation, "words"
    left = Image.new("RGB", (40, 20), "black")
    left.paste("red", (0, 0, 8, 8))
    plain = saved(left, "JPEG", quality=95, exif=exif)
    odd = bytearray(plain)
    odd[plain.find(b"Exif") + 17] = 7
    shown = [decoded(data, tmp_path).image for data in (plain, bytes(odd))]
    with Image.open(io.BytesIO(plain)) as image:
        turned = ImageOps.exif_transpose(image).convert("RGB")
    assert [each.tobytes() for each in shown] == [turned.tobytes()] * 2


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_the_first_of_several_frames_is_taken_and_that_is_said(format: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = saved(frames[0], format, save_all=True, append_images=frames[1:], duration=100)
    image = decoded(data, tmp_path)
    r, _, b = pixel(image)
    assert r > 200
    assert b < 60
    assert texts_of(image.warnings) == ("image: the first of 2 frames was used",)


def test_the_colour_profile_of_rgb_is_kept(tmp_path: Path) -> None:
    plain = Image.new("RGB", (2, 2))
    assert decoded(saved(plain, "PNG", icc_profile=b"profile"), tmp_path).colours == b"profile"
    grey = Image.new("L", (2, 2))
    assert decoded(saved(grey, "PNG", icc_profile=b"profile"), tmp_path).colours is None


@pytest.mark.parametrize("data", [huge_png(), claiming_png(), claiming_png(2**31 - 1, 1)])
def test_more_pixels_than_allowed_are_refused_before_they_are_decoded(
    data: bytes, tmp_path: Path
) -> None:
    assert len(data) < 20_000
    with pytest.raises(PayloadTooLarge, match=r"^(an|the) image .*64000000 pixels") as caught:
        decoded(data, tmp_path)
    assert caught.value.param == "image"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        png(size=(30, 30))[:60],
        claiming_png(5000, 5000),
        b"GIF89a" + bytes(20),
        b"II*\0\x08\0\0\0\x01\0\x0e\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0",
        damaged_avif(),
    ],
)
def test_what_cannot_be_decoded_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"^the image cannot be decoded") as caught:
        decoded(data, tmp_path)
    assert caught.value.param == "image"
