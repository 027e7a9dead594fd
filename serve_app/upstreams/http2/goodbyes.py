"""`Goodbyes`: takes GOAWAY frames out of what a server sends.

h2 takes a GOAWAY for the end of the connection, and refuses every frame after it. Servers that
are about to stop send one and go on answering what has begun (RFC 9113, section 6.8).
"""

from typing import NamedTuple

FRAME_HEAD = 9
GOAWAY = 7
MOST_BYTES = 1024
"""Of a GOAWAY: two numbers, and a text that nobody needs."""


class Goodbye(NamedTuple):
    """Streams after `last_stream` were not begun by the server, and never will be."""

    last_stream: int
    error: int


class Goodbyes:
    """Cuts a stream of bytes at the borders of its frames, which need not be those of reads."""

    def __init__(self) -> None:
        self._left = b""
        self._rest_of_frame = 0

    def taken_out(self, data: bytes) -> tuple[bytes, list[Goodbye]]:
        """What is for h2, and the goodbyes among it."""
        if self._rest_of_frame >= len(data):
            self._rest_of_frame -= len(data)
            return data, []
        data, self._left = self._left + data, b""
        at, passed, goodbyes = self._rest_of_frame, [data[: self._rest_of_frame]], []
        while at + FRAME_HEAD <= len(data):
            end = at + FRAME_HEAD + int.from_bytes(data[at : at + 3])
            if data[at + 3] != GOAWAY or end - at > MOST_BYTES:
                passed.append(data[at:end])
            elif end <= len(data):
                goodbyes.append(_goodbye(data[at + FRAME_HEAD : end]))
            else:
                break
            at = end
        self._rest_of_frame = max(at - len(data), 0)
        self._left = data[at:]
        return b"".join(passed), goodbyes


def _goodbye(payload: bytes) -> Goodbye:
    return Goodbye(int.from_bytes(payload[:4]) & 0x7FFFFFFF, int.from_bytes(payload[4:8]))
