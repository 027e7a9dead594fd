"""WAV headers, which a stream begins before it knows its length."""

import struct

HEADER_BYTES = 44


def sized(data: bytes) -> bytes:
    """A WAV file with its real sizes in the canonical 44-byte header; other data as it is."""
    is_headed = data[:4] == b"RIFF" and data[8:16] == b"WAVEfmt " and data[36:40] == b"data"
    if not is_headed or len(data) < HEADER_BYTES:
        return data
    riff = struct.pack("<I", len(data) - 8)
    content = struct.pack("<I", len(data) - HEADER_BYTES)
    return data[:4] + riff + data[8:40] + content + data[HEADER_BYTES:]
