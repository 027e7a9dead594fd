"""Events come out as they went in, wherever their bytes were cut."""

from collections.abc import AsyncIterator, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.core.errors import UpstreamError
from serve_app.upstreams.server_sent_events import (
    EventReader,
    ServerSentEvent,
    server_sent_events,
)

E = ServerSentEvent


def read(pieces: Iterable[bytes], most_bytes: int = 1000) -> list[ServerSentEvent]:
    reader = EventReader(most_bytes)
    return [*(e for piece in pieces for e in reader.feed(piece)), *reader.finish()]


KNOWN = {
    "one event": (b"data: a\n\n", [E(b"a")]),
    "no space": (b"data:a\n\n", [E(b"a")]),
    "only one space is dropped": (b"data:  a\n\n", [E(b" a")]),
    "CRLF": (b"data: a\r\n\r\ndata: b\r\n\r\n", [E(b"a"), E(b"b")]),
    "CR": (b"data: a\r\rdata: b\r\r", [E(b"a"), E(b"b")]),
    "mixed": (b"data: a\r\n\ndata: b\n\r\ndata: c\r\r\n", [E(b"a"), E(b"b"), E(b"c")]),
    "lines": (b"data: a\ndata: b\ndata:\n\n", [E(b"a\nb\n")]),
    "field without a colon": (b"data\ndata\n\n", [E(b"\n")]),
    "empty data": (b"data:\n\n", [E(b"")]),
    "type": (b"event: ping\ndata: {}\n\ndata: x\n\n", [E(b"{}", "ping"), E(b"x")]),
    "type alone": (b"event: ping\n\ndata: x\n\n", [E(b"x")]),
    "comments": (b": OPENROUTER PROCESSING\n\n:\ndata: a\n: b\n\n", [E(b"a")]),
    "other fields": (b"id: 1\nretry: 9\nfoo: x\n data: no\ndata : no\ndata: a\n\n", [E(b"a")]),
    "byte order mark": (b"\xef\xbb\xbfdata: a\n\n", [E(b"a")]),
    "a mark that is not at the start": (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [E(b"a")]),
    "colons": (b"data: a: b\n\n", [E(b"a: b")]),
    "no last line": (b"data: a\n\ndata: [DONE]\n", [E(b"a"), E(b"[DONE]")]),
    "cut off": (b'data: a\n\ndata: {"b', [E(b"a"), E(b'{"b')]),
    "nothing": (b"\n\n\r\n", []),
    "line ends of other alphabets": ("data: a\u2028b\x0b\x0c\x85c\n\n".encode(), None),
    "beyond ASCII": ("data: 语🙂\n\n".encode(), [E("语🙂".encode())]),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_streams_wherever_they_are_cut(name: str) -> None:
    stream, expected = KNOWN[name]
    if expected is None:
        expected = [E(stream[6:-2])]
    assert read([stream]) == expected
    assert read(stream[i : i + 1] for i in range(len(stream))) == expected
    for cut in range(len(stream)):
        assert read([stream[:cut], b"", stream[cut:]]) == expected


PIECES = st.lists(st.sampled_from([b"data: ", b"a", b"\n", b"\r", b"\r\n", b":", b"\xe8\xaf", b""]))


@given(pieces=PIECES)
@settings(max_examples=300, deadline=None)
def test_borders_make_no_difference(pieces: list[bytes]) -> None:
    assert read(pieces) == read([b"".join(pieces)])


def test_an_event_is_given_as_soon_as_it_is_complete() -> None:
    reader = EventReader()
    assert reader.feed(b"data: a\r") == []
    assert reader.feed(b"\r") == [E(b"a")]
    assert reader.feed(b"\ndata: b\r\n") == []
    assert reader.feed(b"\r") == [E(b"b")]
    assert reader.feed(b"\n") == []
    assert reader.finish() == []


@pytest.mark.parametrize("line", [b"data: " + b"a" * 101, b"x" * 101, b": " + b"x" * 101])
def test_what_never_ends_is_refused(line: bytes) -> None:
    with pytest.raises(UpstreamError, match="larger than 100 bytes"):
        read((line[i : i + 1] for i in range(len(line))), 100)


def test_lines_of_an_event_count_together() -> None:
    assert read([b"data: aaaa\n\n" * 50], 10) == [E(b"aaaa")] * 50
    with pytest.raises(UpstreamError):
        read([b"data: aaaa\n" * 3], 10)


def test_a_line_in_pieces_counts_once() -> None:
    line = b"data: " + b"a" * 90
    assert read((line[i : i + 1] for i in range(len(line))), 100) == [E(b"a" * 90)]
    assert read([b": ping", b"\n"] * 1000, 10) == []


def test_keep_alives_of_a_long_stream_are_no_event() -> None:
    assert read([b": ping\n" * 1000], 10) == []


async def test_a_stream_of_pieces() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for piece in (b"da", b"ta: a\n", b"\ndata: b"):
            yield piece

    assert [event async for event in server_sent_events(chunks())] == [E(b"a"), E(b"b")]
