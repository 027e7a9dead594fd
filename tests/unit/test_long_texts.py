"""Long texts in base64 are put aside while a body comes; everything else of it stays."""

import base64
import json
import random
from pathlib import Path
from typing import Any

import pytest

from serve_app.api.long_texts import LONG_BYTES, JsonStringScanner
from serve_app.blobs.inline_text import NotBase64
from serve_app.blobs.spooled_text import STAND_IN, restored, spooled, spooled_pieces, spooling

MEDIUM = base64.b64encode(bytes(range(256)) * 5000).decode()
TEXT = "It was a dark and stormy night. " * 50_000
BODIES: list[Any] = [
    {"a": "b", "n": [1, 2.5, None, True], 'ä"\\': "\n\u2028\\"},
    {"image": MEDIUM, "prompt": 'a "boat"'},
    {"image": f"data:image/png;base64,{MEDIUM}", "images": [MEDIUM, MEDIUM[:-4], "x"]},
    {"image": "\n".join(MEDIUM[i : i + 76] for i in range(0, len(MEDIUM), 76))},
    {"text": TEXT, "image": MEDIUM, "late": MEDIUM + " no base64 after all \\"},
    {MEDIUM: {"deep": [[MEDIUM]]}},
    {"text": "\\" * LONG_BYTES},
]


def spooled_body(body: bytes, folder: Path, *, piece: int) -> tuple[Any, dict[str, Path]]:
    folder.mkdir(exist_ok=True)
    files = spooling()
    sieve = JsonStringScanner(folder, files)
    pieces = [sieve.feed(body[i : i + piece]) for i in range(0, len(body), piece)]
    return json.loads(b"".join((*pieces, sieve.finish()))), files


def whole(value: Any) -> Any:
    """The value with its texts as they were."""
    if isinstance(value, dict):
        return {restored(key): whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return restored(value) if isinstance(value, str) else value


@pytest.mark.parametrize("piece", [997, 65536, 10**8])
@pytest.mark.parametrize("number", range(len(BODIES)))
def test_what_was_put_aside_and_what_was_left_are_the_body(
    tmp_path: Path, number: int, piece: int
) -> None:
    for ascii_only in (True, False):
        body = json.dumps(BODIES[number], ensure_ascii=ascii_only).encode()
        left, files = spooled_body(body, tmp_path / str(ascii_only), piece=piece)
        assert whole(left) == BODIES[number]
        assert bool(files) == (number != 0)


def test_only_media_are_put_aside(tmp_path: Path) -> None:
    left, files = spooled_body(json.dumps(BODIES[4]).encode(), tmp_path, piece=65536)
    assert left["text"] == TEXT
    assert left["late"] == BODIES[4]["late"]
    assert left["image"].startswith(STAND_IN)
    assert list(files) == [left["image"]]
    assert spooled("spooled:0:1") is None


@pytest.mark.parametrize("escape", ["\\/", "\\u002b", "\\r\\n", "\\u002B\\u002f"])
def test_escapes_are_read_over_the_edges_of_pieces(tmp_path: Path, escape: str) -> None:
    numbers = random.Random(1)
    words = ["A" * numbers.randrange(1, 9) + escape for _ in range(300_000)]
    body = f'{{"image":"{"".join(words)}"}}'
    left, _ = spooled_body(body.encode(), tmp_path, piece=65536)
    file = spooled(left["image"])
    assert file is not None
    assert b"".join(spooled_pieces(file)).decode() == json.loads(body)["image"]


def test_an_escape_that_json_has_not_is_no_base64(tmp_path: Path) -> None:
    body = f'{{"image":"{MEDIUM}\\q"}}'
    left, _ = spooled_body(body.encode(), tmp_path, piece=65536)
    file = spooled(left["image"])
    assert file is not None
    with pytest.raises(NotBase64):
        list(spooled_pieces(file))
