"""JSON answers, of which large ones are written in pieces, so that they hold no other request up
and are never in memory whole.

Neither Python's encoder nor pydantic's, which is ten times as fast, lets anything else run before
it is done, in a thread no less than on the event loop. What counts is how much it is given at once.
"""

import asyncio
import binascii
import json
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import aclosing
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response, StreamingResponse

from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.media import Blob

JSON_HEADERS = {"Content-Type": "application/json"}
LIGHT = 4096
"""Values that are written at once, in about 0.3 ms; of a text, 16 characters count as one."""
CHARACTERS = 16
PLAIN = frozenset({int, float, bool, type(None)})
TURN_S = 0.001
"""After so long on the event loop, others have their turn."""
PIECE_BYTES = 64 * 1024
BASE64_SLICE = 192 * 1024
"""Bytes that are encoded at once, in about 0.4 ms; a multiple of 3, or there would be padding."""


class DeferredValue:
    """A value that is made when it is written; `weight` is about how many values it has."""

    def __init__(self, make: Callable[[], Any], *, weight: int) -> None:
        self.make = make
        self.weight = weight


class StoredBase64:
    """A stored file as a text in base64, read while it is written; `prefix` stands before it."""

    def __init__(self, blobs: FsspecBlobStore, blob: Blob, *, prefix: str = "") -> None:
        self._blobs = blobs
        self._blob = blob
        self._begin = dumps(prefix)[:-1]

    @property
    def size(self) -> int:
        """Bytes, with both quotation marks."""
        return len(self._begin) + (self._blob.size + 2) // 3 * 4 + 1

    async def pieces(self) -> AsyncGenerator[bytes]:
        """The text. NotFound when the file is gone."""
        yield self._begin
        rest = b""
        async with aclosing(self._blobs.read(self._blob)) as chunks:
            async for chunk in chunks:
                data = rest + chunk
                end = len(data) // 3 * 3
                for start in range(0, end, BASE64_SLICE):
                    slice_ = data[start : min(start + BASE64_SLICE, end)]
                    yield binascii.b2a_base64(slice_, newline=False)
                    await asyncio.sleep(0)
                rest = data[end:]
        yield binascii.b2a_base64(rest, newline=False) + b'"'


Part = bytes | StoredBase64


def dumps(value: Any) -> bytes:
    """Compact JSON, non-ASCII unescaped; half a character becomes `?`."""
    try:
        return to_json(value, inf_nan_mode="null", fallback=_made)
    except ValueError:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_made)
        return text.encode("utf-8", "replace")


def json_response(value: Any, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer. Small ones and those whose bulk is files have a `Content-Length`."""
    headers = JSON_HEADERS | dict(headers or {})
    if is_light(value):
        return Response(dumps(value), headers=headers)
    if weight(value, stored=1) > LIGHT:
        return StreamingResponse(json_pieces(value), headers=headers)
    known = list(parts(value))
    size = sum(part.size if isinstance(part, StoredBase64) else len(part) for part in known)
    return StreamingResponse(_pieces(known), headers=headers | {"Content-Length": str(size)})


def is_light(value: Any) -> bool:
    """Whether it is written at once."""
    return weight(value) <= LIGHT


def json_pieces(value: Any) -> AsyncGenerator[bytes]:
    """The JSON of a value of any size, which may have `DeferredValue` and `StoredBase64` in it."""
    return _pieces(parts(value))


async def _pieces(known: Iterable[Part]) -> AsyncGenerator[bytes]:
    waiting = bytearray()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for part in known:
        if isinstance(part, StoredBase64):
            if waiting:
                yield bytes(waiting)
                waiting.clear()
            async with aclosing(part.pieces()) as pieces:
                async for piece in pieces:
                    yield piece
        else:
            waiting += part
        if waiting and (len(waiting) >= PIECE_BYTES or loop.time() - begun >= TURN_S):
            yield bytes(waiting)
            waiting.clear()
            await asyncio.sleep(0)
            begun = loop.time()
    if waiting:
        yield bytes(waiting)


def weight(value: Any, *, stored: int = LIGHT + 1) -> int:
    """How much there is to write, counted no further than `LIGHT`; a stored file as `stored`."""
    total, waiting = 0, list[Collection[Any]]([(value,)])
    while waiting and total <= LIGHT:
        items = waiting.pop()
        total += len(items)
        if len(items) > LIGHT:
            break
        # Done for every answer, so that the types of most values are asked first.
        for item in items:
            kind = type(item)
            if kind is str:
                total += len(item) // CHARACTERS
            elif kind in PLAIN:
                continue
            elif isinstance(item, dict):
                waiting.append(item.values())
            elif isinstance(item, list | tuple):
                waiting.append(item)
            elif isinstance(item, str):
                total += len(item) // CHARACTERS
            elif isinstance(item, DeferredValue):
                total += item.weight
            elif isinstance(item, StoredBase64):
                total += stored
    return total


def parts(value: Any) -> Iterator[Part]:
    """The JSON, cut where each part is written in a short time."""
    if isinstance(value, StoredBase64):
        yield value
    elif isinstance(value, DeferredValue):
        yield from parts(value.make())
    elif is_light(value):
        yield dumps(value)
    elif isinstance(value, str):
        yield b'"'
        for start in range(0, len(value), LIGHT * CHARACTERS):
            yield dumps(value[start : start + LIGHT * CHARACTERS])[1:-1]
        yield b'"'
    elif isinstance(value, dict):
        yield from _object(value)
    else:
        yield from _list(value)


def _list(items: Iterable[Any]) -> Iterator[Part]:
    """Light neighbours are written together."""
    mark, run, total = b"[", list[Any](), 0
    for item in items:
        size = weight(item)
        if run and total + size > LIGHT:
            yield mark + dumps(run)[1:-1]
            mark, run, total = b",", [], 0
        if size > LIGHT:
            yield mark
            yield from parts(item)
            mark = b","
        else:
            run.append(item)
            total += size
    yield (mark + dumps(run)[1:-1] if run else b"") + b"]"


def _object(items: Mapping[str, Any]) -> Iterator[Part]:
    mark, run, total = b"{", dict[str, Any](), 0
    for key, item in items.items():
        size = weight(item)
        if run and total + size > LIGHT:
            yield mark + dumps(run)[1:-1]
            mark, run, total = b",", {}, 0
        if size > LIGHT:
            yield mark + dumps(key) + b":"
            yield from parts(item)
            mark = b","
        else:
            run[key] = item
            total += size
    yield (mark + dumps(run)[1:-1] if run else b"") + b"}"


def _made(value: Any) -> Any:
    if isinstance(value, DeferredValue):
        return value.make()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
