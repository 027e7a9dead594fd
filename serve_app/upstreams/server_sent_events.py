"""Server-sent events out of bytes as they come, whatever the borders of their pieces.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass

from serve_app.core.errors import UpstreamError

MOST_BYTES = 16 * 1024 * 1024
"""Of one event: what carries an image or a minute of audio in base64 has room in it."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event: its data, whose lines are joined by line feeds, and its type, empty without one.
    The data is UTF-8 as it was sent; nobody has looked whether it is valid.
    """

    data: bytes
    event: str = ""


class EventReader:
    """Takes pieces and gives the events that end in them. Comments, ids and times to reconnect are
    passed over. UpstreamError for an event that is too large.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._size = 0
        """Of the event's data so far."""
        self._pieces: list[bytes] = []
        """Of the line that has not ended, and how many bytes they have."""
        self._pending = 0
        self._data: list[bytes] = []
        self._event = ""
        self._is_first_line = True
        self._skips_line_feed = False

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that are complete with this piece. A CR that ends it ends a line at once, so
        that no event waits for what comes after it.
        """
        if self._skips_line_feed and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._skips_line_feed = False
        if not chunk:
            return []
        self._skips_line_feed = chunk.endswith(b"\r")
        # Of bytes, `splitlines` knows CR, LF and CRLF and nothing else.
        lines = chunk.splitlines()
        rest = b"" if chunk.endswith((b"\r", b"\n")) else lines.pop()
        if lines and self._pieces:
            lines[0] = self._whole_line(lines[0])
        found = [event for event in map(self._line, lines) if event]
        if rest:
            self._pieces.append(rest)
            self._pending += len(rest)
            self._check_size()
        return found

    def finish(self) -> list[ServerSentEvent]:
        """The event that the stream ended in. A browser would drop it; there are servers that leave
        out the last empty line, and of an event that was cut off it can be told.
        """
        last = [event for event in map(self._line, (self._whole_line(b""), b"")) if event]
        return last[:1]

    def _whole_line(self, end: bytes) -> bytes:
        line = b"".join((*self._pieces, end))
        self._pieces.clear()
        self._pending = 0
        return line

    def _line(self, line: bytes) -> ServerSentEvent | None:
        if self._is_first_line:
            self._is_first_line = False
            line = line.removeprefix(BYTE_ORDER_MARK)
        if not line:
            return self._ended()
        name, _, value = line.partition(b":")
        if name == b"data":
            self._size += len(value)
            self._check_size()
            self._data.append(value.removeprefix(b" "))
        elif name == b"event":
            self._event = value.removeprefix(b" ").decode(errors="replace")
        return None

    def _ended(self) -> ServerSentEvent | None:
        data, event = self._data, self._event
        self._size, self._event = 0, ""
        if not data:
            return None
        self._data = []
        return ServerSentEvent(b"\n".join(data), event)

    def _check_size(self) -> None:
        if self._size + self._pending > self._most_bytes:
            raise UpstreamError(f"an event of the stream is larger than {self._most_bytes} bytes")


async def server_sent_events(
    chunks: AsyncIterable[bytes], most_bytes: int = MOST_BYTES
) -> AsyncIterator[ServerSentEvent]:
    """The events of a stream, each as soon as it is complete."""
    reader = EventReader(most_bytes)
    async for chunk in chunks:
        for event in reader.feed(chunk):
            yield event
    for event in reader.finish():
        yield event
