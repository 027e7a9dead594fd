"""`Range` in bytes, as RFC 9110 section 14 has it, and answers of several parts."""

import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

Span = tuple[int, int]
"""Start and end of a range; the end is exclusive."""
Read = Callable[[int, int], AsyncGenerator[bytes]]
"""The bytes of a range."""
MOST_RANGES = 16
"""A list of more is no use to a player and a burden to a disk: it is ignored."""
MOST_DIGITS = 18
BEYOND = 10**MOST_DIGITS
"""What a number of more digits is: behind the end of every file, and cheap to compare."""


def requested(header: str, size: int) -> list[Span] | None:
    """The ranges of a file of `size` bytes that are there, in the order asked for and without
    overlaps. Empty when none is (416); None sends the whole file: without a header, in another
    unit, and when any range of the list is invalid, which the RFC lets a server ignore.
    """
    unit, equals, listed = header.partition("=")
    if not equals or unit.strip().lower() != "bytes":
        return None
    spans: list[Span] = []
    # An empty element of a list is none, says section 5.6.1.2.
    specs = [text for part in listed.split(",") if (text := part.strip(" \t"))]
    if not specs or len(specs) > MOST_RANGES:
        return None
    for spec in specs:
        span = _span(spec, size)
        if span is None:
            return None
        if span[0] < span[1]:
            spans.append(span)
    return _merged(spans)


def _span(spec: str, size: int) -> Span | None:
    """One range, empty when it is not in the file; None for an invalid one."""
    first, dash, last = spec.partition("-")
    is_number = all(text == "" or (text.isascii() and text.isdigit()) for text in (first, last))
    if not dash or not is_number or not (first or last):
        return None
    if not first:
        return max(0, size - _number(last)), size
    start = _number(first)
    if last and _number(last) < start:
        return None
    return start, min(_number(last) + 1, size) if last else size


def _number(digits: str) -> int:
    digits = digits.lstrip("0")
    return BEYOND if len(digits) > MOST_DIGITS else int(digits or "0")


def _merged(spans: list[Span]) -> list[Span]:
    """Ranges that overlap or touch become one, by position; others stay as they are."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return spans if len(merged) == len(spans) else merged


class Multipart:
    """Several ranges of one file as `multipart/byteranges`."""

    def __init__(self, spans: list[Span], size: int, mime: str) -> None:
        boundary = secrets.token_hex(16)
        self.content_type = f"multipart/byteranges; boundary={boundary}"
        self._end = f"\r\n--{boundary}--\r\n".encode()
        self._parts = [(span, _head(boundary, span, size, mime)) for span in spans]

    @property
    def length(self) -> int:
        """How many bytes `body` yields."""
        lengths = [len(head) + end - start for (start, end), head in self._parts]
        return sum(lengths) + len(self._end)

    async def body(self, read: Read) -> AsyncGenerator[bytes]:
        """The whole body."""
        for (start, end), head in self._parts:
            yield head
            async with aclosing(read(start, end)) as chunks:
                async for chunk in chunks:
                    yield chunk
        yield self._end


def content_range(span: Span, size: int) -> str:
    """The value of `Content-Range`."""
    return f"bytes {span[0]}-{span[1] - 1}/{size}"


def _head(boundary: str, span: Span, size: int, mime: str) -> bytes:
    lines = (
        f"--{boundary}",
        f"Content-Type: {mime}",
        f"Content-Range: {content_range(span, size)}",
    )
    return ("\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode()
