"""A small HTTP server on loopback that misbehaves on request."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    path = (await reader.readline()).split(b" ")[1].decode()
    while (await reader.readline()).strip():
        pass
    try:
        await reply(path, writer)
    except ConnectionError:
        pass
    finally:
        writer.close()


async def reply(path: str, writer: asyncio.StreamWriter) -> None:
    name, _, argument = path.lstrip("/").partition("/")
    match name:
        case "png":
            await send(writer, "200 OK", PNG)
        case "status":
            await send(writer, f"{argument} Whatever", b"no")
        case "to":
            await send(writer, "302 Found", b"", f"Location: {argument}\r\n")
        case "loop":
            await send(writer, "302 Found", b"", "Location: /loop/x\r\n")
        case "astray":
            await send(writer, "302 Found", b"", "Location: http://[\r\n")
        case "gzip":
            await send(writer, "200 OK", b"\x1f\x8b" + b"0" * 50, "Content-Encoding: gzip\r\n")
        case "claims":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
            await writer.drain()
        case "endless":
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
        case "slow":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.2)
        case _:
            writer.write(b"not http at all\r\n\r\n")


async def send(writer: asyncio.StreamWriter, status: str, body: bytes, extra: str = "") -> None:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{extra}Connection: close\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()


@asynccontextmanager
async def origin() -> AsyncIterator[str]:
    """`127.0.0.1:<port>` of a running server."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield f"127.0.0.1:{port}"
