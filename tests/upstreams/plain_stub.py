"""A provider on loopback that says what it is told to, and keeps what it was asked."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

REASONS = {200: "OK"}


@dataclass(frozen=True)
class Asked:
    """A request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def key(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")


@dataclass(frozen=True)
class Told:
    """A response: pieces with pauses (seconds, or an event) between them. `length` is the
    Content-Length if it is another than the pieces'; with `is_broken` a chunked body has no end.
    """

    status: int = 200
    pieces: tuple[bytes | float | asyncio.Event, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    is_chunked: bool = False
    is_broken: bool = False


def told(content: Any, status: int = 200, **headers: str) -> Told:
    """JSON."""
    fields = {"Content-Type": "application/json"} | headers
    return Told(status, (json.dumps(content).encode(),), fields)


def told_events(events: Iterable[Any], *, ends: bool = True, **rest: Any) -> Told:
    """Server-sent events, `[DONE]` after them."""
    pieces: list[Any] = []
    for event in events:
        is_pause = isinstance(event, float | asyncio.Event)
        pieces.append(event if is_pause else f"data: {json.dumps(event)}\n\n".encode())
    pieces += [b"data: [DONE]\n\n"] if ends else []
    headers = {"Content-Type": "text/event-stream"}
    return Told(200, tuple(pieces), headers, is_chunked=True, **rest)


class PlainStub:
    """`answer` may be replaced while it runs."""

    def __init__(self, answer: Callable[[Asked], Told]) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.connections = 0
        self.left = asyncio.Event()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while (request := await _read(reader)) is not None:
                self.asked.append(request)
                gone = asyncio.ensure_future(reader.read(1))
                writing = asyncio.ensure_future(_write(writer, self.answer(request)))
                done, _ = await asyncio.wait({gone, writing}, return_when="FIRST_COMPLETED")
                if writing not in done:
                    self.left.set()
                    writing.cancel()
                    return
                gone.cancel()
                if not writing.result():
                    return
                await asyncio.sleep(0)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left.set()
        finally:
            writer.close()


@asynccontextmanager
async def plain_stub(answer: Callable[[Asked], Told]) -> AsyncIterator[PlainStub]:
    stub = PlainStub(answer)
    tasks: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(stub.serve(reader, writer))
        tasks.add(task)

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    stub.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield stub
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").rstrip().split("\r\n")
    method, path, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(method, path, headers, body)


async def _write(writer: asyncio.StreamWriter, answer: Told) -> bool:
    """Whether the connection can be used again."""
    size = sum(len(piece) for piece in answer.pieces if isinstance(piece, bytes))
    body = {"Transfer-Encoding": "chunked"} if answer.is_chunked else {}
    if not answer.is_chunked:
        body = {"Content-Length": str(size if answer.length is None else answer.length)}
    head = f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, 'Other')}\r\n"
    fields = "".join(f"{name}: {value}\r\n" for name, value in (answer.headers | body).items())
    writer.write(f"{head}{fields}\r\n".encode())
    for piece in answer.pieces:
        if isinstance(piece, float):
            await asyncio.sleep(piece)
        elif isinstance(piece, asyncio.Event):
            await piece.wait()
        else:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if answer.is_chunked else piece)
            await writer.drain()
    if answer.is_chunked and not answer.is_broken:
        writer.write(b"0\r\n\r\n")
    await writer.drain()
    return not answer.is_broken and answer.length is None
