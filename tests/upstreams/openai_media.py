"""Small media that stubs answer with, and the forms that they get."""

import struct
import zlib
from email.parser import BytesParser
from email.policy import HTTP

from tests.upstreams.answers import StubRequest


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + check


PNG = b"".join(
    (
        b"\x89PNG\r\n\x1a\n",
        _chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 2, 8, 2, 0, 0, 0)),
        _chunk(b"IDAT", zlib.compress((b"\0" + b"\xd0\x20\x20" * 4) * 2)),
        _chunk(b"IEND", b""),
    )
)
"""Four pixels by two, all of them red."""
SAMPLES = b"\0\0\x10\x27" * 4000
WAV = b"".join(
    (
        b"RIFF" + struct.pack("<I", 36 + len(SAMPLES)) + b"WAVEfmt ",
        struct.pack("<IHHIIHH", 16, 1, 1, 16000, 32000, 2, 16),
        b"data" + struct.pack("<I", len(SAMPLES)) + SAMPLES,
    )
)
"""Half a second at 16 kHz."""


def form_fields(request: StubRequest) -> dict[str, bytes]:
    """The parts of a form by their names, read by another parser than the product's."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    parsed = BytesParser(policy=HTTP).parsebytes(head + request.body)
    return {
        str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)
        for part in parsed.iter_parts()  # type: ignore[attr-defined]
    }
