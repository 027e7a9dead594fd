"""Exceptions as libraries raise them, without regard for who may be far away."""

import asyncio

from serve_app.core.options.fake import FakeOptions

SECRET = "/secret/path"
"""Not to be shown to callers."""


class KeywordOnly(Exception):
    """Cannot be unpickled: its class wants an argument that pickle does not give."""

    def __init__(self, *, reason: str) -> None:
        super().__init__(reason)


def raise_breakage(options: FakeOptions, text: str = "") -> None:
    """Raise what `breaks_with`, or the text, names."""
    match text if options.breaks_with == "as_told" else options.breaks_with:
        case "error":
            raise RuntimeError(SECRET)
        case "keyword_only":
            raise KeywordOnly(reason=SECRET)
        case "timeout":
            raise TimeoutError(SECRET)
        case "cancelled":
            raise asyncio.CancelledError(SECRET)
