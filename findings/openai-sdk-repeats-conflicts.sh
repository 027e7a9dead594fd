#!/bin/bash
# openai 3.52.0 (the official Python library).
#
# One would guess: a library repeats what may pass by itself, 429 and 5xx, and hands every other 4xx to its caller at once.
# Instead: 409 is repeated too (as a "lock time-out"), so that an answer such as "this name is taken" costs three requests
# and some seconds, and a call whose first attempt has succeeded behind a time-out is told of a conflict with itself. A
# server ends that with a header that is in no standard, `x-should-retry: false`; `Retry-After` is obeyed up to 120 s only,
# and above that nothing is repeated at all, not even a 429.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet openai==3.52.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai

ANSWERS = {
    "409": (409, {}),
    "409, x-should-retry: false": (409, {"x-should-retry": "false"}),
    "404": (404, {}),
    "429, Retry-After: 1": (429, {"Retry-After": "1"}),
    "429, Retry-After: 121": (429, {"Retry-After": "121"}),
}
asked: list[str] = []
now = (200, {})


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        asked.append(self.path)
        self.send_response(now[0])
        for name, value in now[1].items():
            self.send_header(name, value)
        body = b'{"error": {"message": "no", "type": "x", "code": "x", "param": null}}'
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = openai.OpenAI(api_key="x", base_url=f"http://127.0.0.1:{server.server_port}/v1")
seen = []
for name, now in ANSWERS.items():
    asked.clear()
    try:
        client.models.list()
    except openai.APIStatusError as error:
        assert error.status_code == now[0]
    seen.append(len(asked))
    print(f"{name}: asked {len(asked)} times")
sys.exit(seen != [3, 1, 1, 3, 1])
PYTHON
