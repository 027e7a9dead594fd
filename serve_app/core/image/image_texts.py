"""The texts that an image file carries beside its pixels, such as what it was generated from."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from serve_app.core.errors import InvalidRequest, PayloadTooLarge
from serve_app.core.image.image_files import UNREADABLE, opened_image
from serve_app.core.image.images import Size

EXIF_IFD = 0x8769
USER_COMMENT = 0x9286
PARAMETERS = "parameters"
"""Under which generators write their parameters into a PNG."""
FORMATS = ("AVIF", "JPEG", "PNG", "TIFF", "WEBP")
"""Pillow's names of what carries such texts."""
CODES = {b"UNICODE\0": "utf-16-be", b"ASCII\0\0\0": "ascii", b"\0" * 8: "utf-8"}
"""What an Exif comment begins with, and how the rest of it is written."""
MOST_CHARACTERS = 1_000_000


def image_texts(path: Path, *, param: str) -> dict[str, str]:
    """The text chunks that a PNG has before its pixels, by keyword; the Exif comment of any other
    image as `parameters`. InvalidRequest and PayloadTooLarge with `param`. Blocks.
    """
    from PIL import Image

    # As it is: `opened_image` leaves out what is beside the pixels.
    with _decoding(param), path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
        found = {
            str(name): str(value)[:MOST_CHARACTERS]
            for name, value in image.info.items()
            if isinstance(value, str)
        }
        comment = None if PARAMETERS in found else _comment(image)
        return found if comment is None else {PARAMETERS: comment[:MOST_CHARACTERS], **found}


def image_size(path: Path, *, param: str) -> Size:
    """Of the image as it is shown. InvalidRequest and PayloadTooLarge with `param`. Blocks."""
    with _decoding(param), opened_image(path) as opened:
        width, height = opened.image.size
        if opened.is_on_its_side:
            width, height = height, width
        return Size(width=width, height=height)


@contextmanager
def _decoding(param: str) -> Iterator[None]:
    from PIL.Image import DecompressionBombError

    try:
        yield
    except DecompressionBombError:
        raise PayloadTooLarge("the image has too many pixels", param=param) from None
    except UNREADABLE:
        raise InvalidRequest("the image cannot be decoded", param=param) from None


def _comment(image: Any) -> str | None:
    comment = image.getexif().get_ifd(EXIF_IFD).get(USER_COMMENT)
    if isinstance(comment, str):
        return comment
    if not isinstance(comment, bytes):
        return None
    code = CODES.get(comment[:8])
    if code is None:
        return comment.decode("utf-8", "replace")
    return comment[8:].decode(code, "replace").rstrip("\0")
