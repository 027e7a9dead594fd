"""WAV headers, which a stream begins before it knows its length."""

import struct

HEADER_BYTES = 44


def sized(data: bytes) -> bytes:
    """A WAV file with its real sizes in the canonical 44-byte header; other data as it is."""
    if data[:4] != b"RIFF" or data[8:16] != b"WAVEfmt " or data[36:40] != b"data":
        return data
    riff = struct.pack("<I", len(data) - 8)
    content = struct.pack("<I", len(data) - HEADER_BYTES)
    return data[:4] + riff + data[8:40] + content + data[HEADER_BYTES:]
