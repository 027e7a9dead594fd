"""JSON in pieces is the same JSON."""

import base64
import json
import math
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response, StreamingResponse

from serve_app.api.json_answer import DeferredValue, StoredBase64, dumps, json_pieces, json_response
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.errors import NotFound
from serve_app.runtime.streams import once

NUMBERS = list(range(20_000))
VALUES: list[Any] = [
    None,
    "",
    [],
    {},
    "text",
    {"a": []},
    NUMBERS,
    [NUMBERS, NUMBERS],
    [1, NUMBERS, 2, NUMBERS, 3],
    {"first": 1, "long": NUMBERS, "next": {"long": NUMBERS, "last": True}, "end": None},
    dict.fromkeys(map(str, NUMBERS), 0.5),
    'ä\n"\\\U0001f600' * 50_000,
    {'ключ " \n': "\u2028" * 200_000, "n": 1e-7},
    [{"word": str(number), "start": number / 3, "words": [{}, []]} for number in NUMBERS],
    [[[[NUMBERS]]]],
    10**30,
]


async def written(value: Any) -> bytes:
    pieces = [piece async for piece in json_pieces(value)]
    assert all(pieces)
    assert max(map(len, pieces)) < 1024 * 1024
    return b"".join(pieces)


@pytest.mark.parametrize("number", range(len(VALUES)))
async def test_pieces_make_the_whole(number: int) -> None:
    value = VALUES[number]
    assert await written(value) == dumps(value)
    assert json.loads(dumps(value)) == value
    assert json.loads(await written(DeferredValue(lambda: value, weight=10**6))) == value


async def test_what_json_cannot_say_is_replaced() -> None:
    assert dumps({"a": "\ud800", "b": math.inf}) in (
        b'{"a":"?","b":null}',
        b'{"a":"?","b":Infinity}',
    )
    assert dumps([math.nan, math.inf]) == b"[null,null]"
    assert json.loads(await written(["\udfff" * 100_000])) == ["?" * 100_000]
    with pytest.raises(TypeError, match="object cannot be written as JSON"):
        dumps(object())


@pytest.mark.parametrize("size", [0, 1, 2, 3, 1_048_575, 1_048_576, 3_000_001])
async def test_stored_files_are_encoded_while_they_are_read(tmp_path: Path, size: int) -> None:
    store = FsspecBlobStore(tmp_path)
    data = bytes(range(251)) * (size // 251 + 1)
    blob = await store.write(once(data[:size]), mime="image/png")
    answer = {"data": [{"b64_json": StoredBase64(store, blob, prefix='"')}, 1, 2]}
    whole = await written(answer)
    assert json.loads(whole)["data"][0]["b64_json"] == '"' + base64.b64encode(data[:size]).decode()
    response = json_response(answer, {"X-Job-ID": "job-1"})
    assert response.headers["content-length"] == str(len(whole))
    assert response.headers["x-job-id"] == "job-1"
    await store.delete(blob)
    with pytest.raises(NotFound):
        await written(answer)


def test_small_answers_are_written_at_once_and_long_ones_without_a_length() -> None:
    small = json_response({"data": [0.5] * 1024})
    assert type(small) is Response
    assert small.headers["content-length"] == str(len(small.body))
    large = json_response(NUMBERS)
    assert isinstance(large, StreamingResponse)
    assert "content-length" not in large.headers
    assert large.headers["content-type"] == small.headers["content-type"] == "application/json"
