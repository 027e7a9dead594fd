#!/bin/bash
# openai 3.52.0 (httpx 0.28.1).
#
# One would guess: the SDK repeats a POST that timed out under an `Idempotency-Key`, so that a server can tell a repetition
# from a second call. Its code says so: for everything but GET it makes a key ("ensure the idempotency key is reused
# between requests") and keeps it over all tries.
# Instead: the key is never sent, because the client knows no name of a header for it. Two tries of one call differ from
# two calls in nothing but `x-stainless-retry-count`, and the body's bytes are the same. A server that is not to do the work
# twice has to go by that count and a name in the body, or by a key that the caller puts into `extra_headers` by hand: that
# one is sent, and stays the same over the tries.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet openai==3.52.0 httpx==0.28.1
"$folder/venv/bin/python" - <<'PYTHON'
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai

TRIES = 3
seen: list[tuple[dict[str, str], bytes]] = []


class Busy(BaseHTTPRequestHandler):
    """Is busy twice, then answers."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        seen.append(({name.lower(): value for name, value in self.headers.items()}, body))
        is_last = len(seen) == TRIES
        answer = json.dumps({"created": 1, "data": []} if is_last else {}).encode()
        self.send_response(200 if is_last else 503)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None: ...


def tries(**options: object) -> list[tuple[dict[str, str], bytes]]:
    """The headers and bodies with which one call was tried."""
    seen.clear()
    client = openai.OpenAI(api_key="x", base_url=url, max_retries=TRIES)
    client.images.generate(model="m", prompt="a boat", **options)
    return [*seen]


server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/v1"

plain = tries()
by_hand = tries(extra_headers={"Idempotency-Key": "mine"})
server.shutdown()
keys = [{name for name in headers if "idempotency" in name} for headers, _ in plain]
counts = [headers.get("x-stainless-retry-count") for headers, _ in plain]
bodies = {body for _, body in plain}
kept = [headers.get("idempotency-key") for headers, _ in by_hand]
print(f"headers with a key: {keys}; retry counts: {counts}; different bodies: {len(bodies)}")
print(f"a key by hand: {kept}")
is_as_found = (
    keys == [set()] * TRIES
    and counts == ["0", "1", "2"]
    and len(bodies) == 1
    and kept == ["mine"] * TRIES
)
sys.exit(0 if is_as_found else "the behaviour has changed")
PYTHON
