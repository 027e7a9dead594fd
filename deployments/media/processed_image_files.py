"""Pillow's images as files of every format that an image is converted to."""

import io
from pathlib import Path
from typing import Any

from PIL import Image, ImageCms

from deployments.media.image_decoding import DecodedImage
from deployments.media.image_encoding import saved_png
from deployments.media.image_sources import flattened
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.image_processing import (
    ConvertImageStep,
    ImageFileFormat,
    ProcessImage,
)

LONGEST_SIDE_PX: dict[ImageFileFormat, int] = {"jpg": 65_500, "gif": 65_535, "webp": 16_383}
"""What the formats, or their libraries, have numbers for."""
OPAQUE = frozenset({"jpg", "bmp"})
WITHOUT_PROFILE = frozenset({"gif", "bmp"})
QUALITY = 90
"""Of JPEG and WebP: losses that are not seen, and half the size of 95."""
Options = dict[str, Any]
OPTIONS: dict[ImageFileFormat, tuple[str, Options]] = {
    "jpg": ("JPEG", {"quality": QUALITY}),
    "gif": ("GIF", {}),
    "bmp": ("BMP", {}),
    "tiff": ("TIFF", {"compression": "tiff_lzw"}),
    "webp": ("WEBP", {"quality": QUALITY}),
}


def check_sides(size: tuple[int, int], request: ProcessImage) -> None:
    """InvalidRequest for an image that the format asked for cannot hold."""
    longest = LONGEST_SIDE_PX.get(request.format)
    if longest is None or max(size) <= longest:
        return
    last = max(i for i, step in enumerate(request.steps) if isinstance(step, ConvertImageStep))
    raise InvalidRequest(
        f"a {request.format} image has at most {longest} pixels on a side, not {max(size)}",
        param=f"steps[{last}].format",
    )


def save(
    image: Image.Image, target: Path, format: ImageFileFormat, *, colours: bytes | None
) -> None:
    """RGB or RGBA as a file. What the format has no place for is applied: transparency becomes
    white, and colours of an ICC profile become sRGB.
    """
    if format in OPAQUE and image.mode == "RGBA":
        image = flattened(DecodedImage(image.convert("RGB"), image.getchannel("A")))
    if format in WITHOUT_PROFILE and colours is not None:
        image, colours = _in_srgb(image, colours), None
    if format == "png":
        saved_png(image, target, colours=colours)
        return
    name, options = OPTIONS[format]
    image.save(target, name, **options | ({"icc_profile": colours} if colours else {}))


def _in_srgb(image: Image.Image, colours: bytes) -> Image.Image:
    """As it is where the profile is broken, or of other colours than the image."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(colours))
        changed = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"))
    except (ImageCms.PyCMSError, OSError):
        return image
    return changed or image
