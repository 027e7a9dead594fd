"""Messages of Amazon's event streams out of bytes as they come.

Format: https://smithy.io/2.0/aws/amazon-eventstream.html. A message is its length, the length of
its headers, a checksum of these two, the headers, a payload, and a checksum of all before.
"""

import struct
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass

from serve_app.core.errors import UpstreamError

PRELUDE = struct.Struct(">III")
CHECKSUM = struct.Struct(">I")
AROUND = PRELUDE.size + CHECKSUM.size
MOST_BYTES = 24 * 1024 * 1024
"""Of a message, by the format."""
TEXT, BYTES = 7, 6
FIXED_BYTES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Of the values of headers, by their types."""


@dataclass(frozen=True, slots=True)
class EventStreamMessage:
    """One message; of its headers those that are texts."""

    headers: Mapping[str, str]
    payload: bytes


class EventStreamReader:
    """Takes pieces of any size and gives the messages that end in them. UpstreamError for what is
    no such stream.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> list[EventStreamMessage]:
        """The messages that are complete with this piece."""
        self._buffer += chunk
        found: list[EventStreamMessage] = []
        start = 0
        while (size := self._size(start)) is not None:
            end = start + size
            found.append(_message(bytes(self._buffer[start:end])))
            start = end
        if start:
            del self._buffer[:start]
        return found

    def finish(self) -> None:
        """UpstreamError where the stream has ended inside a message."""
        if self._buffer:
            raise UpstreamError("the provider's event stream ended in the middle of a message")

    def _size(self, start: int) -> int | None:
        """Of the message that begins there; None where it is not complete yet."""
        there = len(self._buffer) - start
        if there < PRELUDE.size:
            return None
        size, headers, checksum = PRELUDE.unpack_from(self._buffer, start)
        if zlib.crc32(self._buffer[start : start + 8]) != checksum:
            raise _unreadable("the checksum of a beginning is wrong")
        if not AROUND + headers <= size <= MOST_BYTES:
            raise _unreadable(f"a message is {size} bytes long")
        return size if there >= size else None


async def event_stream_messages(
    chunks: AsyncIterable[bytes],
) -> AsyncIterator[EventStreamMessage]:
    """The messages of a stream, each as soon as it is complete."""
    reader = EventStreamReader()
    async for chunk in chunks:
        for message in reader.feed(chunk):
            yield message
    reader.finish()


def _message(data: bytes) -> EventStreamMessage:
    _, length, _ = PRELUDE.unpack_from(data)
    (checksum,) = CHECKSUM.unpack_from(data, len(data) - CHECKSUM.size)
    if zlib.crc32(memoryview(data)[: -CHECKSUM.size]) != checksum:
        raise _unreadable("the checksum of a message is wrong")
    end = PRELUDE.size + length
    try:
        headers = _headers(data[PRELUDE.size : end])
    except (struct.error, IndexError, KeyError, UnicodeDecodeError) as error:
        raise _unreadable("the headers of a message make no sense") from error
    return EventStreamMessage(headers, data[end : -CHECKSUM.size])


def _headers(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(data):
        named = at + 1 + data[at]
        name, kind = data[at + 1 : named].decode(), data[named]
        at = named + 1
        if kind in (TEXT, BYTES):
            (size,) = struct.unpack_from(">H", data, at)
            at += 2
        else:
            size = FIXED_BYTES[kind]
        if at + size > len(data):
            raise IndexError(size)
        if kind == TEXT:
            found[name] = data[at : at + size].decode()
        at += size
    return found


def _unreadable(why: str) -> UpstreamError:
    return UpstreamError(f"the provider's event stream cannot be read: {why}")
