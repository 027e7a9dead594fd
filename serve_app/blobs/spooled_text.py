"""Long texts of a request that were put aside into files while its body came.

A body of JSON carries media in base64, of hundreds of megabytes. To make such a text of it takes
seconds in which the interpreter does nothing else, whatever parses it; so it never becomes one. The
body has a stand-in for it, which `MediaIntake` knows.
"""

import json
import secrets
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

from serve_app.blobs.inline_text import NotBase64

PIECE_BYTES = 64 * 1024
LONGEST_ESCAPE = 12
"""A pair of surrogates, as JSON spells it."""
STAND_IN = f"spooled:{secrets.token_hex(16)}:"
"""What nobody can guess, before the SHA-256 of a text as it came: a caller's own text is never
taken for a stand-in.
"""
_FILES: ContextVar[dict[str, Path] | None] = ContextVar("spooled texts of a request", default=None)


def spooling() -> dict[str, Path]:
    """Begin a request: the files of its texts, by their stand-ins, which are filled in later."""
    files: dict[str, Path] = {}
    _FILES.set(files)
    return files


def spooled(text: str) -> Path | None:
    """The file of a text, as it stood between its quotation marks; None for a text of its own."""
    if not text.startswith(STAND_IN):
        return None
    return (_FILES.get() or {}).get(text)


def restored(text: str) -> str:
    """The text itself, where one that is no medium was put aside. Blocks."""
    # Of every text of every body, of which nearly none is long.
    file = spooled(text) if text.startswith(STAND_IN) else None
    return text if file is None else str(json.loads(b'"%s"' % file.read_bytes()))


def spooled_pieces(file: Path) -> Iterator[bytes]:
    """The text as UTF-8, without JSON's escapes. NotBase64 for an escape that JSON has not, and for
    half a character. Blocks.
    """
    rest = b""
    with file.open("rb") as content:
        while piece := content.read(PIECE_BYTES):
            piece = rest + piece
            end = _whole(piece)
            rest = piece[end:]
            yield _plain(piece[:end])
    yield _plain(rest)


def _whole(piece: bytes) -> int:
    """Where it can be cut without parting an escape."""
    cut = piece.find(b"\\", -LONGEST_ESCAPE)
    if cut < 0:
        return len(piece)
    # A backslash may be the second of two, of which the first came before it.
    while cut > 0 and piece[cut - 1 : cut] == b"\\":
        cut -= 1
    return cut


def _plain(piece: bytes) -> bytes:
    if b"\\" not in piece:
        return piece
    try:
        return str(json.loads(b'"%s"' % piece)).encode()
    except ValueError:
        raise NotBase64 from None
