"""A hub of one repository, on this machine."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

SHA = "c" * 40
WEIGHTS = bytes(range(256)) * 4096
FILES = {
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b"{}",
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"the same, pickled",
    "README.md": b"# Tiny",
    "onnx/model.onnx": b"onnx",
    "picture.png": b"png",
}


class TinyHub(ThreadingHTTPServer):
    """Enough of the hub for one repository; `fails` maps a path's end to (status, error code)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.files = dict(FILES)
        self.fails: dict[str, tuple[int, str]] = {}
        self.cut: dict[str, int] = {}
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    server: TinyHub

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.requests.append(f"{self.command} {path}")
        for end, (status, code) in self.server.fails.items():
            if path.endswith(end):
                return self._send(status, b"{}", {"X-Error-Code": code})
        if path in ("/api/models/org/tiny", "/api/models/org/tiny/revision/v1"):
            siblings = [{"rfilename": n, "size": len(c)} for n, c in self.server.files.items()]
            body = json.dumps({"id": "org/tiny", "sha": SHA, "siblings": siblings}).encode()
            return self._send(200, body, {"Content-Type": "application/json"})
        if match := re.fullmatch(r"/org/tiny/resolve/[^/]+/(.+)", path):
            return self._file(match[1])
        return self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _file(self, name: str) -> None:
        content = self.server.files[name]
        etag = hashlib.sha256(content).hexdigest()
        start = int((self.headers.get("Range") or "bytes=0-")[6:].rstrip("-"))
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": SHA, "Accept-Ranges": "bytes"}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        cut = self.server.cut.pop(name, None) if self.command == "GET" else None
        self._send(206 if start else 200, content[start:], headers, cut=cut)

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], *, cut: int | None = None
    ) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:cut])
        if cut is not None:
            self.close_connection = True


@pytest.fixture
def hub() -> Iterator[TinyHub]:
    with TinyHub() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()
