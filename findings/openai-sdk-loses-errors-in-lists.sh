#!/bin/bash
# openai 3.52.0 (the official Python library), with errors as Google's OpenAI-compatible endpoint sends them.
#
# One would guess: an endpoint that is made for OpenAI's libraries sends errors that they can read, and a library that
# cannot read one shows what it got.
# Instead: https://generativelanguage.googleapis.com/v1beta/openai puts its error into a list, `[{"error": {…}}]`. The
# library raises the right class, by the status, with a message that is "Error code: 429" and nothing else: `code`, `type`
# and `param` are None, and what was wrong, such as which quota is used up and for how long, is in `body` only, where no log
# shows it. The same error without the list is shown; one in plain text, as proxies send it, is not either.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet openai==3.52.0
"$folder/venv/bin/python" - <<'PYTHON'
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai

ERROR = {"error": {"code": 429, "message": "the quota is used up", "status": "RESOURCE_EXHAUSTED"}}
BODIES = {
    "an object": ("application/json", json.dumps(ERROR)),
    "a list": ("application/json", json.dumps([ERROR])),
    "text": ("text/plain", "the quota is used up"),
}
now = BODIES["text"]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = now[1].encode()
        self.send_response(429)
        self.send_header("Content-Type", now[0])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/v1"
client = openai.OpenAI(api_key="x", base_url=url, max_retries=0)
shown = {}
for name, now in BODIES.items():
    try:
        client.models.list()
    except openai.RateLimitError as error:
        shown[name] = (str(error), error.code)
    print(f"{name}: {shown[name][0]}")
is_as_found = (
    "the quota is used up" in shown["an object"][0]
    and shown["a list"] == ("Error code: 429", None)
    and shown["text"] == ("Error code: 429", None)
)
sys.exit(0 if is_as_found else "the behaviour has changed")
PYTHON
