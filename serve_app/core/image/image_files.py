"""How an image is opened, everywhere: by its pixels, whatever else is in the file."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, NamedTuple

from serve_app.core.image.image_views import (
    JPEG_END,
    ORIENTATION_TAG,
    is_jpeg_without_end,
    view_of,
)

UNREADABLE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
)
"""What Pillow's decoders raise for files that are damaged or were made to deceive."""

FORMATS = ("AVIF", "BMP", "GIF", "HEIF", "ICO", "JPEG", "JPEG2000", "PNG", "TIFF", "WEBP")
"""Pillow's names of what is read. Not EPS, which Ghostscript would run."""
INSTEAD = "send PNG, JPEG, WebP or AVIF"
NOT_READ = {
    "image/jxl": "JPEG XL images",
    "image/x-canon-cr3": "raw images of Canon cameras (CR3)",
}
HEIC = "image/heic"
ANY_BITS = bytes(range(1, 200)) * 20
"""What would be seen in a JPEG of which a part is missing."""


class OpenedImage(NamedTuple):
    """Pillow's image, not yet decoded, and how it is turned, as EXIF counts: 1 is upright."""

    image: Any
    orientation: int

    @property
    def is_on_its_side(self) -> bool:
        """Whether width and height are each other's."""
        return self.orientation >= 5


@contextmanager
def opened_image(path: Path) -> Iterator[OpenedImage]:
    """One of `UNREADABLE`, or Pillow's own of images that are too large, for what is no image
    that is read. Blocks.
    """
    from PIL import Image

    formats = tuple(name for name in FORMATS if name != "HEIF" or _heif_is_read())
    with path.open("rb") as file:
        if view := view_of(file, tail=_missing_end(file)):
            with Image.open(view.file, formats=formats) as image:
                yield OpenedImage(image, view.orientation)
            return
    with Image.open(path, formats=formats) as image:
        yield OpenedImage(image, _orientation(image))


def upright(image: Any, orientation: int) -> Any:
    """Turned. Not by ImageOps, which writes all other EXIF data anew and fails on what is odd."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(turns[orientation]) if orientation in turns else image


def unread(mime: str) -> str | None:
    """Why images of a type are not read here, and what to do; None for those that are."""
    if mime == HEIC and not _heif_is_read():
        return f"HEIC images need pillow-heif on the server; {INSTEAD}"
    return f"{NOT_READ[mime]} are not supported; {INSTEAD}" if mime in NOT_READ else None


def _missing_end(file: IO[bytes]) -> bytes:
    """The marker that a JPEG should end with, where nothing else of it is missing: whatever stands
    before the marker in its place, the pixels are the same.
    """
    if not is_jpeg_without_end(file):
        return b""
    ways = [_small_pixels(file, tail) for tail in (JPEG_END, ANY_BITS + JPEG_END)]
    return JPEG_END if ways[0] is not None and ways[0] == ways[1] else b""


def _small_pixels(file: IO[bytes], tail: bytes) -> bytes | None:
    """Of a JPEG, an eighth as wide and high; None where it cannot be decoded."""
    from PIL import Image

    view = view_of(file, tail=tail)
    try:
        with Image.open(view.file if view else file, formats=("JPEG",)) as image:
            image.draft(image.mode, (image.width // 8, image.height // 8))
            return bytes(image.tobytes())
    except UNREADABLE:
        return None


def _orientation(image: Any) -> int:
    if image.format == "TIFF":
        return 1  # Pillow turns them itself while it reads them.
    try:
        found = image.getexif().get(ORIENTATION_TAG, 1)
    except UNREADABLE:
        return 1
    return found if found in range(1, 9) else 1


@cache
def _heif_is_read() -> bool:
    if find_spec("pillow_heif") is None:
        return False
    from pillow_heif import register_heif_opener

    register_heif_opener()
    return True
