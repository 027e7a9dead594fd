"""`VendorStub`: what the stubs of all vendors do alike, as an ASGI application."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, ClassVar

from tests.upstreams.answers import Mishap, StubAnswer, StubRequest, StubTrouble

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
JSON = "application/json"
SSE = "text/event-stream; charset=utf-8"
STALLED_S = 60.0


class BrokenOff(Exception):
    """Makes the server close the connection in the middle of a body."""


class VendorStub:
    """Answers in one vendor's wire form. Tests say what: `answers`, `fails`, `mishap`; and read
    `requests`, and in `left` how many clients have gone before their answer was complete.
    """

    name: ClassVar[str]
    folder: ClassVar[str]
    """Of the base URL, as the vendor has it."""

    def __init__(self) -> None:
        self.origin = ""
        self.reset()

    def reset(self) -> None:
        """As new."""
        self.answer = StubAnswer()
        self.requests: list[StubRequest] = []
        self.troubles: list[StubTrouble] = []
        self.models: list[dict[str, Any]] = self.known_models()
        self.keys: set[str] | None = None
        """Those that are accepted; None accepts all."""
        self.streams = True
        """Whether it is able to; else it answers whole, though it was asked for a stream."""
        self.left = 0

    @property
    def base_url(self) -> str:
        return f"{self.origin}/{self.name}{self.folder}"

    @property
    def last(self) -> StubRequest:
        return self.requests[-1]

    def answers(self, *pieces: str, **fields: Any) -> None:
        """From now on: these pieces of text, and what else of StubAnswer is given."""
        given = {"pieces": pieces} if pieces else {}
        self.answer = StubAnswer(**(given | fields))

    def fails(self, status: int, times: int = 1, **fields: Any) -> None:
        """An error of the vendor's shape; fields are those of StubTrouble."""
        self.troubles.append(StubTrouble(status, times=times, **fields))

    def mishap(self, kind: Mishap, times: int = 1, **fields: Any) -> None:
        """Something that no API documents, or an error in a stream that has begun."""
        self.troubles.append(StubTrouble(mishap=kind, times=times, **fields))

    def slow(self, delay_s: float, times: int = 1, **fields: Any) -> None:
        """An answer that takes its time."""
        self.troubles.append(StubTrouble(delay_s=delay_s, times=times, **fields))

    async def has_been_left(self, times: int = 1) -> None:
        """Wait until so many clients have gone before their answer was complete."""
        while self.left < times:
            await asyncio.sleep(0.01)

    def known_models(self) -> list[dict[str, Any]]:
        """As the vendor lists them."""
        raise NotImplementedError

    def key_of(self, headers: dict[str, str]) -> str:
        """The key that came with a request."""
        return headers.get("authorization", "").removeprefix("Bearer ")

    def error(self, status: int, message: str) -> Any:
        """An error's content."""
        raise NotImplementedError

    async def handle(self, request: StubRequest, reply: "Reply") -> None:
        """Answer a request that meets no trouble, or one in its stream."""
        raise NotImplementedError

    async def run(self, request: StubRequest, send: Send, receive: Receive) -> None:
        self.requests.append(request)
        trouble = next((each for each in self.troubles if each.meets(request)), StubTrouble())
        trouble.times -= 1
        reply = Reply(self, send, trouble)
        answering = asyncio.ensure_future(self._answer(request, reply))
        leaving = asyncio.ensure_future(receive())
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            self.left += 1
            answering.cancel()
            await asyncio.wait({answering})
            return
        leaving.cancel()
        answering.result()

    async def _answer(self, request: StubRequest, reply: "Reply") -> None:
        trouble = reply.trouble
        await asyncio.sleep(trouble.delay_s)
        if trouble.status >= 300:
            await reply.refuse(trouble.status, trouble.message, trouble.headers, trouble.body)
        elif trouble.mishap == "wrong_type":
            await reply.whole(200, b"<html><body>Welcome</body></html>", "text/html")
        elif trouble.mishap == "no_json":
            await reply.whole(200, b'{"id": "x", ', JSON)
        elif self.keys is not None and request.key not in self.keys:
            await reply.refuse(401, "invalid key")
        else:
            await self.handle(request, reply)


class Reply:
    """Sends one response, with the trouble that was asked for in it."""

    def __init__(self, stub: VendorStub, send: Send, trouble: StubTrouble) -> None:
        self._stub = stub
        self._send = send
        self.trouble = trouble

    async def refuse(
        self,
        status: int,
        message: str,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> None:
        """An error."""
        content = json.dumps(self._stub.error(status, message)).encode() if body is None else body
        await self.whole(status, content, JSON, headers)

    async def json(self, content: Any, headers: dict[str, str] | None = None) -> None:
        """A success."""
        await self.whole(200, json.dumps(content).encode(), JSON, headers)

    async def whole(
        self, status: int, body: bytes, mime: str, headers: dict[str, str] | None = None
    ) -> None:
        """A response of a known length, half of which may be all that comes."""
        length = {"content-length": str(len(body))}
        await self._start(status, {"content-type": mime} | length | (headers or {}))
        if status == 200 and self.trouble.mishap in ("stalled", "broken", "truncated"):
            await self._part(body[: len(body) // 2])
            await self._come_to_grief()
        await self._send({"type": "http.response.body", "body": body})

    async def stream(
        self, parts: AsyncIterator[bytes], mime: str, headers: dict[str, str] | None = None
    ) -> None:
        """A body of unknown length. Stalled and broken ones stop after some parts; truncated ones
        end there as if they were complete.
        """
        await self._start(200, {"content-type": mime} | (headers or {}))
        sent = 0
        async for part in parts:
            await self._part(part)
            sent += 1
            if sent < self.trouble.after:
                continue
            if self.trouble.mishap == "truncated":
                break
            if self.trouble.mishap in ("stalled", "broken"):
                await self._come_to_grief()
        await self._send({"type": "http.response.body", "body": b""})

    async def _come_to_grief(self) -> None:
        if self.trouble.mishap == "stalled":
            await asyncio.sleep(STALLED_S)
        raise BrokenOff

    async def _start(self, status: int, headers: dict[str, str]) -> None:
        named = [(name.encode(), value.encode()) for name, value in headers.items()]
        start = {"type": "http.response.start", "status": status, "headers": named}
        await self._send(start)

    async def _part(self, body: bytes) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": True})


def sse(data: Any, event: str = "") -> bytes:
    """An event."""
    text = data if isinstance(data, str) else json.dumps(data)
    return f"{f'event: {event}' + chr(10) if event else ''}data: {text}\n\n".encode()
