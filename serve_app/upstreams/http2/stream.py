"""`Http2Stream`: a request over HTTP/2, and its response."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol

from serve_app.core.upstreams.timeouts import UpstreamTimeouts
from serve_app.runtime.limits import within

TOLD_AT_ONCE = 128 * 1024
"""How much is read before the server is told: most responses are smaller, and it takes a frame."""


class NotBegun(OSError):
    """The server has not looked at the request: it can be sent again."""


class StreamSides(Protocol):
    """What a stream needs of its connection."""

    def room(self, number: int) -> int:
        """How many bytes of a body may be sent now."""
        ...

    def send(self, number: int, piece: memoryview, *, is_last: bool) -> None:
        """Send that part of a body."""
        ...

    def taken(self, number: int, size: int) -> None:
        """So many bytes of the response were read."""
        ...

    def leave(self, number: int) -> None:
        """Nobody waits for the rest of the response."""
        ...


class Http2Stream:
    """Satisfies `HttpResponse` once `begin` has returned. LimitPassed where it takes longer than
    the times allow; the total counts from now on. `unread` are the bytes of the response that the
    server does not know to be read.
    """

    def __init__(self, sides: StreamSides, number: int, timeouts: UpstreamTimeouts) -> None:
        self.number = number
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.is_sent = self.is_at_end = False
        self.unread = 0
        self._sides = sides
        self._loop = asyncio.get_running_loop()
        self._ends_at = self._loop.time() + timeouts.total_s
        self._read_s = timeouts.read_s
        self._pieces: list[bytes] = []
        self._failure: OSError | None = None
        self._change: asyncio.Future[None] | None = None

    async def begin(self, body: bytes) -> None:
        """Send the body, and wait for the status."""
        rest = memoryview(body)
        while rest and not self.status:
            if self._failure is not None:
                raise self._failure
            if size := min(self._sides.room(self.number), len(rest)):
                self._sides.send(self.number, rest[:size], is_last=size == len(rest))
                rest = rest[size:]
            else:
                await self._changed(lambda: bool(self.status or self._sides.room(self.number)))
        self.is_sent = not rest
        await self._changed(lambda: bool(self.status))

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes."""
        while True:
            await self._changed(lambda: bool(self._pieces or self.is_at_end))
            if not self._pieces:
                return
            data = b"".join(self._pieces)
            self._pieces.clear()
            if self.unread >= TOLD_AT_ONCE:
                self._sides.taken(self.number, self.unread)
                self.unread = 0
            yield data

    def leave(self) -> None:
        """End it: a response that has not ended is cancelled at the server."""
        self._sides.leave(self.number)

    def began(self, status: int, headers: Mapping[str, str]) -> None:
        """The status and the headers have come."""
        self.status, self.headers = status, headers
        self.changed()

    def received(self, data: bytes, size: int) -> None:
        """A piece of the body, of which `size` bytes count for its flow control."""
        self.unread += size
        if data:
            self._pieces.append(data)
            self.changed()

    def ended(self) -> None:
        """The body is complete."""
        self.is_at_end = True
        self.changed()

    def failed(self, failure: OSError) -> None:
        """Nothing more will come."""
        if not self.is_at_end:
            self._failure = self._failure or failure
            self.changed()

    def changed(self) -> None:
        """Look again."""
        if self._change is not None and not self._change.done():
            self._change.set_result(None)

    async def _changed(self, is_there: Callable[[], bool]) -> None:
        while not is_there():
            if self._failure is not None:
                raise self._failure
            self._change = self._loop.create_future()
            try:
                async with within(min(self._ends_at - self._loop.time(), self._read_s)):
                    await self._change
            finally:
                self._change = None
