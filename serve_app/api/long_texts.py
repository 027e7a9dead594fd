"""Moves media in JSON bodies to files while they arrive; only the rest is parsed."""

import asyncio
import hashlib
import re
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import IO

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.api.body_limit import declared_length
from serve_app.blobs.inline_text import ALPHABET, HEADER_CHARACTERS
from serve_app.blobs.spooled_text import STAND_IN, spooling
from serve_app.runtime.threads import opened

LONG_BYTES = 1024 * 1024
"""Shorter texts are parsed in milliseconds."""
MEDIUM = ALPHABET + b"-_=\\"
"""What a medium is written in: either alphabet of base64, and JSON's escapes."""
INSIDE = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
"""The rest of a string of JSON, without the quotation mark that ends it."""


class LongTexts:
    """Gives a stand-in for every long text in base64, see `serve_app.blobs.spooled_text`. What is
    left of a body may have `limit` bytes.
    """

    def __init__(self, app: ASGIApp, *, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI scope."""
        if scope["type"] != "http" or not _may_be_long(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        left = 0
        folder = partial(tempfile.mkdtemp, prefix="body-")
        async with opened(folder, partial(shutil.rmtree, ignore_errors=True)) as place:
            sieve = JsonStringScanner(Path(place), spooling())

            async def spooled_body() -> Message:
                nonlocal left
                message = await receive()
                if message["type"] != "http.request":
                    return message
                is_last = not message.get("more_body", False)
                body = await asyncio.to_thread(_sifted, sieve, message.get("body", b""), is_last)
                left += len(body)
                if left > self._limit:
                    problem = f"the body has more than {self._limit} bytes besides media"
                    raise HTTPException(413, problem)
                return {**message, "body": body}

            try:
                await self._app(scope, spooled_body, send)
            finally:
                sieve.close()


class JsonStringScanner:
    """Reads JSON as it comes, no more of it than where strings begin and end. Blocks."""

    def __init__(self, folder: Path, files: dict[str, Path]) -> None:
        self._folder = folder
        self._files = files
        self._is_inside = self._is_escaped = self._is_text = False
        self._held = bytearray()
        self._file: IO[bytes] | None = None
        self._digest = hashlib.sha256()
        self._count = 0

    def feed(self, chunk: bytes) -> bytes:
        """What is left of the next piece of the body."""
        left, position = bytearray(), 0
        while position < len(chunk):
            if self._is_inside:
                position = self._inside(chunk, position, left)
                continue
            end = chunk.find(b'"', position) + 1
            self._is_inside = end > 0
            left += chunk[position : end or len(chunk)]
            position = end or len(chunk)
        return bytes(left)

    def finish(self) -> bytes:
        """What is left of a string that has no end."""
        left = bytearray()
        self._close(left)
        return bytes(left)

    def close(self) -> None:
        """Close what is open of a body that was cut off."""
        if self._file is not None:
            self._file.close()

    def _inside(self, chunk: bytes, position: int, left: bytearray) -> int:
        """Read on in a string; where to read on after it."""
        match = INSIDE.match(chunk, position + self._is_escaped)
        end = match.end() if match else position
        self._is_escaped = chunk[end : end + 1] == b"\\"
        end += self._is_escaped
        self._take(chunk[position:end], left)
        if end < len(chunk):
            self._close(left)
            left += b'"'
            self._is_inside = False
        return min(end + 1, len(chunk)) if end < len(chunk) else end

    def _take(self, data: bytes, left: bytearray) -> None:
        if self._is_text:
            left += data
        elif self._file is not None:
            self._put(data)
            if data.translate(None, MEDIUM):
                self._give_back(left)
        else:
            self._held += data
            if len(self._held) > LONG_BYTES:
                self._decide(left)

    def _decide(self, left: bytearray) -> None:
        """Whether what has come of a long text is a medium."""
        head = bytes(self._held[:HEADER_CHARACTERS])
        start = head.find(b",") + 1 if head.lower().startswith(b"data:") else 0
        if self._held[start:].translate(None, MEDIUM):
            self._is_text = True
            left += self._held
        else:
            self._count += 1
            self._file = (self._folder / str(self._count)).open("w+b")
            self._digest = hashlib.sha256()
            self._put(self._held)
        self._held.clear()

    def _put(self, data: bytes | bytearray) -> None:
        assert self._file is not None
        self._file.write(data)
        self._digest.update(data)

    def _give_back(self, left: bytearray) -> None:
        """It is a text after all."""
        assert self._file is not None
        self._file.seek(0)
        left += self._file.read()
        self._file.close()
        self._file, self._is_text = None, True

    def _close(self, left: bytearray) -> None:
        if self._file is not None:
            name = STAND_IN + self._digest.hexdigest()
            self._files[name] = Path(self._file.name)
            self._file.close()
            left += name.encode()
        left += self._held
        self._held.clear()
        self._file, self._is_text = None, False


def _sifted(sieve: JsonStringScanner, body: bytes, is_last: bool) -> bytes:
    try:
        left = sieve.feed(body)
        return left + sieve.finish() if is_last else left
    except OSError:
        raise HTTPException(503, "the disk has no space for the body; free some space") from None


def _may_be_long(headers: Headers) -> bool:
    if "content-length" in headers and declared_length(headers) <= LONG_BYTES:
        return False
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")
