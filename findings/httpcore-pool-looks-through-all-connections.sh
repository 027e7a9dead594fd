#!/bin/bash
# httpcore 1.0.9.
#
# One would guess: a request over a kept connection costs the same, however many other connections the pool has.
# Instead: for every request, and again at its end, the pool looks through all of its connections, and for each of them through all
# again to count the idle ones; each idle one is polled for having been closed. With 64 requests at once, each takes several times
# the processor time that it takes alone. A proxy for many clients needs another pool.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "httpcore[asyncio]==1.0.9"
cat >"$folder/seen.py" <<'PYTHON'
import asyncio
import time

import httpcore

RESPONSE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Server(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(RESPONSE * data.count(b"\r\n\r\n"))


async def cost(url, at_once, count=1280):
    async with httpcore.AsyncConnectionPool(max_connections=100) as pool:

        async def client(requests):
            for _ in range(requests):
                await pool.request("GET", url)

        await asyncio.gather(*(client(1) for _ in range(at_once)))
        begun = time.process_time()
        await asyncio.gather(*(client(count // at_once) for _ in range(at_once)))
        return (time.process_time() - begun) / count


async def main():
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    alone, together = await cost(url, 1), await cost(url, 64)
    print(f"processor time per request, alone: {alone * 1e3:.2f} ms; 64 at once: {together * 1e3:.2f} ms")
    if together < 3 * alone:
        raise SystemExit("the pool is as fast with many connections")


asyncio.run(main())
PYTHON
"$folder/venv/bin/python" "$folder/seen.py"
