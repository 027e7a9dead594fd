"""Files of images without what lies beside their pixels: texts, comments, makers' notes.

Pillow reads all of that before the image, and refuses the whole file for one odd piece of it, or
takes minutes over many.
"""

import io
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import IO, NamedTuple

ORIENTATION_TAG = 0x0112
PROFILE_BYTES = 1 << 20
"""Of a colour profile, unpacked; what Pillow reads of a PNG."""
JPEG_END = b"\xff\xd9"
SEARCHED_BYTES = 1 << 20
Span = tuple[int, int]


class ImageView(NamedTuple):
    """The file as Pillow is to see it, and how it is turned, as EXIF counts: 1 is upright."""

    file: IO[bytes]
    orientation: int


def view_of(file: IO[bytes], *, tail: bytes = b"") -> ImageView | None:
    """None for a file that is no PNG, JPEG or JPEG 2000. What is to be seen behind it is the
    `tail`. Blocks.
    """
    file.seek(0)
    head = file.read(12)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return _view(file, *_png(file), tail)
    if head.startswith(b"\xff\xd8\xff"):
        return _view(file, *_jpeg(file), tail)
    if head.startswith(b"\0\0\0\x0cjP  "):
        return _view(file, list(_jpeg_2000(file)), b"", tail)
    return None


def orientation_in(exif: bytes) -> int:
    """1 to 8; 1 where the EXIF data are odd. They are a TIFF file, of which the first directory's
    entries are 12 bytes: tag, type, count, value.
    """
    order = {b"II": "little", b"MM": "big"}.get(exif[:2])
    if order not in ("little", "big"):
        return 1

    def number(start: int, size: int) -> int:
        return int.from_bytes(exif[start : start + size], "little" if order == "little" else "big")

    directory = number(4, 4)
    for entry in range(directory + 2, directory + 2 + 12 * number(directory, 2), 12):
        if number(entry, 2) == ORIENTATION_TAG:
            found = number(entry + 8, 2)
            return found if found in range(1, 9) else 1
    return 1


def is_jpeg_without_end(file: IO[bytes]) -> bool:
    """Whether the marker that ends a JPEG is nowhere behind its only scan. False for one that gets
    finer scan by scan, of which nobody can tell whether the last is there. Blocks.
    """
    file.seek(0)
    if not file.read(3).startswith(b"\xff\xd8\xff"):
        return False
    for place, marker, _ in _jpeg_segments(file):
        if marker == 0xC2:
            return False
        if marker == 0xDA:
            file.seek(place)
            break
    last = b""
    while data := file.read(SEARCHED_BYTES):
        if JPEG_END in last + data:
            return False
        last = data[-1:]
    return True


def _view(file: IO[bytes], spans: list[Span], exif: bytes, tail: bytes) -> ImageView:
    return ImageView(io.BufferedReader(_Spans(file, spans, tail)), orientation_in(exif))


def _png(file: IO[bytes]) -> tuple[list[Span], bytes]:
    """ISO 15948: a signature, then chunks of length, name, data and checksum."""
    spans, exif = [(0, 8)], b""
    is_animated = False
    for place, name, size in _png_chunks(file):
        span = (place, place + size + 12)
        if name == b"eXIf" and not exif:
            exif = _data(file, span)
        elif name == b"acTL":
            is_animated = size == 8 and any(_data(file, span)[:4])
            spans += [span] * is_animated
        elif name in (b"fcTL", b"fdAT"):
            spans += [span] * (is_animated and (name == b"fdAT" or size == 26))
        elif name in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND") or (
            name == b"iCCP" and _is_profile(_data(file, span))
        ):
            spans.append(span)
    return spans, exif


def _png_chunks(file: IO[bytes]) -> Iterator[tuple[int, bytes, int]]:
    place, name = 8, b""
    while name != b"IEND":
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            return
        name, size = head[4:], int.from_bytes(head[:4])
        yield place, name, size
        place += size + 12


def _data(file: IO[bytes], span: Span) -> bytes:
    """Of a chunk; nothing where its checksum is wrong."""
    file.seek(span[0] + 4)
    named = file.read(span[1] - span[0] - 8)
    return named[4:] if zlib.crc32(named) == int.from_bytes(file.read(4)) else b""


def _is_profile(data: bytes) -> bool:
    """Whether it can be unpacked, and is no more than a profile is."""
    _, end, packed = data.partition(b"\0")
    if not end or packed[:1] != b"\0":
        return False
    unpacking = zlib.decompressobj()
    try:
        unpacking.decompress(packed[1:], PROFILE_BYTES)
    except zlib.error:
        return False
    return unpacking.eof


def _jpeg(file: IO[bytes]) -> tuple[list[Span], bytes]:
    """ITU-T T.81, annex B: segments of marker, length and data up to the first scan. What is kept
    are tables and frames, colour profiles, and Adobe's word on how colours are stored.
    """
    spans, exif = [(0, 2)], b""
    for place, marker, size in _jpeg_segments(file):
        span = (place, place + size + 2)
        start = file.read(min(size, 18)) if marker in (0xE1, 0xE2, 0xEE) else b""
        if marker == 0xDA:
            return [*spans, (place, file.seek(0, io.SEEK_END))], exif
        if marker == 0xE1 and not exif and start[2:].startswith(b"Exif\0\0"):
            file.seek(place + 10)
            exif = file.read(size - 8)
        elif (
            0xC0 <= marker <= 0xCF
            or marker in (0xDB, 0xDD)
            or (marker == 0xE2 and size > 16 and start[2:].startswith(b"ICC_PROFILE\0"))
            or (marker == 0xEE and size >= 14 and start[2:].startswith(b"Adobe"))
        ):
            spans.append(span)
    return spans, exif


def _jpeg_segments(file: IO[bytes]) -> Iterator[tuple[int, int, int]]:
    """Place, marker and size, the file standing at the size. Filling and what is left over between
    segments is passed over.
    """
    file.seek(2)
    while byte := file.read(1):
        if byte != b"\xff":
            continue
        while (byte := file.read(1)) == b"\xff":
            pass
        marker = byte[0] if byte else 0
        if marker in (0x00, 0x01, *range(0xD0, 0xDA)):
            continue
        place = file.tell() - 2
        size = int.from_bytes(file.read(2))
        file.seek(place + 2)
        yield place, marker, size
        file.seek(place + 2 + max(2, size))


def _jpeg_2000(file: IO[bytes]) -> Iterator[Span]:
    """ITU-T T.800, annex I: boxes of length, name and data, of which four make the image."""
    place, end = 0, file.seek(0, io.SEEK_END)
    while place < end:
        file.seek(place)
        head = file.read(16)
        size = int.from_bytes(head[:4])
        if size == 1:
            size = int.from_bytes(head[8:16])
        next_place = place + size if size >= 8 else end
        if head[4:8] in (b"jP  ", b"ftyp", b"jp2h", b"jp2c"):
            yield place, min(next_place, end)
        place = next_place


class _Spans(io.RawIOBase):
    """Stretches of a file as one file, and some bytes behind them."""

    def __init__(self, file: IO[bytes], spans: list[Span], tail: bytes) -> None:
        self._sources = [(file, end) for _, end in spans] + [(io.BytesIO(tail), len(tail))]
        sizes = [end - start for start, end in spans]
        self._ends = list(accumulate([*sizes, len(tail)]))
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._ends[-1]}[whence]
        self._place = max(0, origin + offset)
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        number = bisect_right(self._ends, self._place)
        if number == len(self._ends):
            return 0
        left = self._ends[number] - self._place
        source, end = self._sources[number]
        source.seek(end - left)
        count = source.readinto(buffer[: min(len(buffer), left)])  # type: ignore[attr-defined]
        self._place += count
        return int(count)
