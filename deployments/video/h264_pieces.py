"""H.264 as MP4 and Matroska store it (ISO 14496-15): parameter sets beside the stream, and pieces
(NAL units) that begin with their length.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

START_CODE = re.compile(b"\x00\x00\x00?\x01")
SPS, PPS = 7, 8
HIGHEST_ID = 31


@dataclass(frozen=True)
class StoredParameters:
    """`length_bytes` is how long the length before a piece is, `ids` those of parameter sets."""

    length_bytes: int
    ids: frozenset[int]

    @property
    def free_id(self) -> int | None:
        """One that no parameter set has."""
        free = (number for number in range(HIGHEST_ID, -1, -1) if number not in self.ids)
        return next(free, None)


def stored_parameters(record: bytes | None) -> StoredParameters | None:
    """Of an AVCDecoderConfigurationRecord; None for what is none, as of transport streams."""
    if record is None or len(record) < 7 or record[0] != 1:
        return None
    ids: set[int] = set()
    place, left = 6, record[5] & 31
    for kind in (SPS, PPS):
        for _ in range(left):
            size = int.from_bytes(record[place : place + 2])
            piece = record[place + 2 : place + 2 + size]
            # Behind its header a sequence set has profile, constraints and level.
            ids.add(_first_number(piece[4:] if kind == SPS else piece[1:]))
            place += 2 + size
        if kind == SPS and place < len(record):
            left, place = record[place], place + 1
    return StoredParameters((record[4] & 3) + 1, frozenset(ids))


def with_lengths(stream: bytes, length_bytes: int) -> bytes:
    """A packet of Annex B, as encoders write it, as it is stored."""
    return b"".join(len(piece).to_bytes(length_bytes) + piece for piece in _pieces(stream))


def _pieces(stream: bytes) -> Iterator[bytes]:
    places = [(found.start(), found.end()) for found in START_CODE.finditer(stream)]
    for (_, begin), (end, _) in zip(places, [*places[1:], (len(stream), 0)], strict=True):
        yield stream[begin:end]


def _first_number(data: bytes) -> int:
    """An exponential Golomb code (ITU-T H.264, 9.1)."""
    bits = "".join(f"{byte:08b}" for byte in data[:12])
    zeros = len(bits) - len(bits.lstrip("0"))
    return int(bits[zeros : 2 * zeros + 1] or "1", 2) - 1
