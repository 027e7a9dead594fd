#!/usr/bin/env bash
# uvicorn 0.54.0, starlette 1.10.0.
#
# One would guess that `await send(...)`, and so every piece of a StreamingResponse over an async
# generator, lets other coroutines of the event loop run: it is awaited, and bytes go out.
# What happens instead: as long as the socket takes what it is given, `send` comes back without
# having waited, so a generator that computes its pieces and awaits nothing itself keeps the loop
# for the whole answer. A coroutine that wants to run every millisecond does not run once during
# 200 pieces of 2 ms. With `await asyncio.sleep(0)` after each piece it runs between them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uvicorn==0.54.0 starlette==1.10.0 httptools==0.9.0
cat >"$folder/seen.py" <<'PYTHON'
import asyncio
import time

import uvicorn
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

PIECES = 200
ticks = 0
during: dict[str, int] = {}


async def tick() -> None:
    global ticks
    while True:
        await asyncio.sleep(0.001)
        ticks += 1


def answer(name: str, *, pauses: bool):
    async def pieces():
        before = ticks
        for _ in range(PIECES):
            end = time.perf_counter() + 0.002
            while time.perf_counter() < end:
                pass
            yield b"piece\n"
            if pauses:
                await asyncio.sleep(0)
        during[name] = ticks - before

    async def endpoint(request):
        return StreamingResponse(pieces())

    return endpoint


async def get(port: int, path: str) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    body = await reader.read()
    while more := await reader.read():
        body += more
    writer.close()
    return body.count(b"piece\n")


async def main() -> None:
    routes = [
        Route("/awaits-nothing", answer("awaits nothing", pauses=False)),
        Route("/pauses", answer("pauses", pauses=True)),
    ]
    config = uvicorn.Config(Starlette(routes=routes), port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    ticking = asyncio.create_task(tick())
    for path in ("/awaits-nothing", "/pauses"):
        assert await get(port, path) == PIECES
    ticking.cancel()
    server.should_exit = True
    await serving
    print("runs of another coroutine during the answer:", during)
    assert during["awaits nothing"] == 0, "send lets others run now"
    assert during["pauses"] > PIECES // 10


asyncio.run(main())
PYTHON
"$folder/venv/bin/python" "$folder/seen.py"
