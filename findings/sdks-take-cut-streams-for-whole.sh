#!/bin/bash
# openai 3.52.0 and anthropic 2.14.0 (the official Python libraries).
#
# One would guess: a library that puts the pieces of a streamed answer together tells when the answer is not whole. Both
# formats have an end of their own for that: OpenAI's a choice with a `finish_reason` and then `[DONE]`, Anthropic's a
# `message_delta` with a `stop_reason` and then `message_stop`.
# Instead: where the body ends as HTTP has it, as behind a proxy that has lost the server and closes its chunked response
# properly, half an answer is returned as if it were all. Nothing is raised, by the helpers that collect an answer either;
# the only trace is that the reason of the end is None, and that the counts of tokens are missing (OpenAI) or those of the
# beginning (Anthropic). Whoever passes a stream on has to look for its end, and to say so when there was none.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet openai==3.52.0 anthropic==2.14.0
"$folder/venv/bin/python" - <<'PYTHON'
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anthropic
import openai

ASKED: Any = [{"role": "user", "content": "Count to three."}]


def chunk(delta: dict[str, Any]) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return head | {"choices": [choice]}


MESSAGE = {"id": "msg", "type": "message", "role": "assistant", "model": "m", "content": []}
MESSAGE |= {"stop_reason": None, "stop_sequence": None}
MESSAGE |= {"usage": {"input_tokens": 9, "output_tokens": 1}}
BLOCK = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
DELTA = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "One"}}
STREAMS = {
    "/v1/chat/completions": [chunk({"role": "assistant"}), chunk({"content": "One"})],
    "/v1/messages": [{"type": "message_start", "message": MESSAGE}, BLOCK, DELTA],
}


class Cut(BaseHTTPRequestHandler):
    """Sends the beginning of a stream, and ends the body as it should be ended."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in STREAMS[self.path]:
            kind = f"event: {event['type']}\n" if "type" in event else ""
            data = f"{kind}data: {json.dumps(event)}\n\n".encode()
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None: ...


server = ThreadingHTTPServer(("127.0.0.1", 0), Cut)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"

client = openai.OpenAI(api_key="x", base_url=f"{url}/v1", max_retries=0)
pieces = list(client.chat.completions.create(model="m", messages=ASKED, stream=True))
with client.chat.completions.stream(model="m", messages=ASKED) as stream:
    choice = stream.get_final_completion().choices[0]
other = anthropic.Anthropic(api_key="x", base_url=url, max_retries=0)
with other.messages.stream(model="m", messages=ASKED, max_tokens=99) as begun:
    message = begun.get_final_message()

print(f"openai: {len(pieces)} chunks and no error")
print(f"openai, put together: {choice.message.content!r}, ended by {choice.finish_reason}")
print(f"anthropic, put together: {message.content[0].text!r}, ended by {message.stop_reason}")
is_as_found = (
    len(pieces) == 2
    and (choice.message.content, choice.finish_reason) == ("One", None)
    and (message.content[0].text, message.stop_reason) == ("One", None)
    and message.usage.output_tokens == 1
)
sys.exit(0 if is_as_found else "the behaviour has changed")
PYTHON
