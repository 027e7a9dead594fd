#!/bin/bash
# httpcore 1.0.9 and httpcore2 2.16.2, with h2 4.4.1.
#
# One would guess: leaving `stream()` before a response has ended cancels the request. Over HTTP/1.1 it does, because the connection
# is closed.
# Instead, over HTTP/2, nothing is sent: no RST_STREAM, and the connection stays open for others. The server does not hear that
# nobody reads any more; a model behind it goes on generating until the flow-control window is full. A proxy whose clients may leave
# cannot use it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "httpcore[http2,asyncio]==1.0.9" "httpcore2[http2,asyncio]==2.16.2" "h2==4.4.1"
cat >"$folder/seen.py" <<'PYTHON'
import asyncio

import h2.config
import h2.connection
import h2.events
import httpcore
import httpcore2


class Server:
    """Answers with a first piece, and then with one more every 50 ms."""

    def __init__(self):
        self.tasks = []
        self.sent_after = 0
        self.has_left = False
        self.resets = 0

    def begin(self, reader, writer):
        self.tasks.append(asyncio.create_task(self.serve(reader, writer)))

    async def serve(self, reader, writer):
        state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        state.initiate_connection()
        writer.write(state.data_to_send())
        sending = None
        while data := await reader.read(65536):
            for event in state.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    sending = asyncio.create_task(self.send(state, writer, event.stream_id))
                elif isinstance(event, h2.events.StreamReset):
                    self.resets += 1
                    sending.cancel()
            writer.write(state.data_to_send())
        sending.cancel()
        writer.close()

    async def send(self, state, writer, stream):
        state.send_headers(stream, [(":status", "200")])
        while True:
            state.send_data(stream, b"token ")
            writer.write(state.data_to_send())
            self.sent_after += self.has_left
            await asyncio.sleep(0.05)


async def tried(library):
    server = Server()
    listening = await asyncio.start_server(server.begin, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
    async with library.AsyncConnectionPool(http1=False, http2=True) as pool:
        async with pool.stream("GET", url) as response:
            async for _ in response.aiter_stream():
                break
        server.has_left = True
        await asyncio.sleep(1)
        print(f"{library.__name__}: resets {server.resets}, pieces sent after the client has left: {server.sent_after}")
        return server.resets == 0 and server.sent_after > 10


for library in (httpcore, httpcore2):
    if not asyncio.run(tried(library)):
        raise SystemExit(f"{library.__name__} resets streams that are left")
PYTHON
"$folder/venv/bin/python" "$folder/seen.py"
