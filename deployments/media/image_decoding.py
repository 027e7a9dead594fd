"""Images on their way into an engine: upright, eight bits deep, in plain colours.

Everything here blocks.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from serve_app.core.errors import InvalidRequest, PayloadTooLarge
from serve_app.core.image.image_files import UNREADABLE, opened_image, upright
from serve_app.core.notices import Notice

DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")


@dataclass(frozen=True)
class DecodedImage:
    """`image` is RGB; `alpha` is L of the same size, None for what is opaque. `colours` is the ICC
    profile of the RGB values. `warnings` say what of the file was left out.
    """

    image: Image.Image
    alpha: Image.Image | None = None
    colours: bytes | None = None
    warnings: tuple[Notice, ...] = ()


def decoded_image(path: Path, *, param: str, max_pixels: int) -> DecodedImage:
    """The image in a file, turned as its EXIF data says; the first of several.

    PayloadTooLarge, from the header and before anything is decoded, for more than `max_pixels`;
    InvalidRequest for what cannot be decoded.
    """
    try:
        # Pillow warns of, and then refuses, large images at limits of its own.
        with opened_image(path) as (image, orientation):
            check_pixels(*image.size, param=param, max_pixels=max_pixels)
            warnings = _left_out(image, param)
            return _plain(upright(image, orientation), warnings)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PayloadTooLarge(
            f"the image has more than the allowed {max_pixels} pixels", param=param
        ) from None
    except UNREADABLE as error:
        raise InvalidRequest("the image cannot be decoded", param=param) from error


def check_pixels(width: int, height: int, *, param: str, max_pixels: int) -> None:
    """PayloadTooLarge for an image of more than `max_pixels`."""
    if width * height > max_pixels:
        raise PayloadTooLarge(
            f"an image of {width}x{height} has more than the allowed {max_pixels} pixels",
            param=param,
        )


def _left_out(image: Any, param: str) -> tuple[Notice, ...]:
    frames = getattr(image, "n_frames", 1)
    said = []
    if frames > 1:
        said.append(f"the first of {frames} frames was used")
    if image.mode in DEEP_MODES or any(";16" in str(tile[3]) for tile in image.tile):
        said.append("reduced to 8 bits per channel")
    return tuple(Notice(field=param, text=text) for text in said)


def _plain(image: Image.Image, warnings: tuple[Notice, ...]) -> DecodedImage:
    colours = image.info.get("icc_profile") if image.mode in ("RGB", "RGBA") else None
    if image.mode in DEEP_MODES:
        return DecodedImage(_eight_bits(image).convert("RGB"), warnings=warnings)
    if ("A" in image.mode.upper() and image.mode != "LAB") or "transparency" in image.info:
        clear = image.convert("RGBA")
        return DecodedImage(clear.convert("RGB"), clear.getchannel("A"), colours, warnings)
    return DecodedImage(image.convert("RGB"), colours=colours, warnings=warnings)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Integers are 16 bits deep in the formats that have them; floats are read from 0 to 1, or
    from their least to their greatest value when they leave that range.
    """
    values = np.asarray(image).astype(np.float64)
    if image.mode != "F":
        values /= 65_535 if values.max() > 255 or image.mode != "I" else 255
    elif values.min() < 0 or values.max() > 1:
        values = (values - values.min()) / max(float(np.ptp(values)), 1e-12)
    return Image.fromarray(np.rint(np.nan_to_num(values) * 255).clip(0, 255).astype(np.uint8))
