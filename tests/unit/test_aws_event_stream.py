"""Messages come out as they went in, wherever their bytes were cut; nothing wrong gets through."""

import struct
import zlib

import pytest

from serve_app.core.errors import UpstreamError
from serve_app.upstreams.aws_event_stream import EventStreamMessage, EventStreamReader
from tests.upstreams.bedrock_stub import chunk_frame, exception_frame, frame

FRAMES = (
    frame(b"", message_type="event"),
    chunk_frame({"type": "ping", "text": "ü"}),
    exception_frame("throttlingException", "slow down"),
)
STREAM = b"".join(FRAMES)


def read(*pieces: bytes) -> list[EventStreamMessage]:
    reader = EventStreamReader()
    found = [message for piece in pieces for message in reader.feed(piece)]
    reader.finish()
    return found


def test_messages_wherever_they_are_cut() -> None:
    whole = read(STREAM)
    assert [message.headers.get(":message-type") for message in whole] == [
        "event",
        "event",
        "exception",
    ]
    assert whole[2].headers[":exception-type"] == "throttlingException"
    assert whole[2].payload == b'{"message": "slow down"}'
    assert read(*(STREAM[i : i + 1] for i in range(len(STREAM)))) == whole
    for cut in range(len(STREAM)):
        assert read(STREAM[:cut], b"", STREAM[cut:]) == whole


def test_a_known_message() -> None:
    """From the format's own tests: one header, an object as payload."""
    known = bytes.fromhex(
        "0000003d00000020 07fd8396 0c636f6e74656e742d74797065 07 0010"
        "6170706c69636174696f6e2f6a736f6e 7b27666f6f273a27626172277d 8d9c08b1".replace(" ", "")
    )
    (message,) = read(known)
    assert message == EventStreamMessage({"content-type": "application/json"}, b"{'foo':'bar'}")


def built(headers: bytes, payload: bytes = b"") -> bytes:
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return body + struct.pack(">I", zlib.crc32(body))


def test_headers_of_all_types() -> None:
    values = (b"\0", b"\1", b"\2a", b"\3ab", b"\4abcd", b"\x05abcdefgh", b"\6\0\1a", b"\7\0\1a")
    values += (b"\x08abcdefgh", b"\x09abcdefghijklmnop")
    coded = b"".join(b"\1" + bytes([97 + i]) + value for i, value in enumerate(values))
    (message,) = read(built(coded, b"x"))
    assert message == EventStreamMessage({"h": "a"}, b"x")


@pytest.mark.parametrize("place", range(len(FRAMES[1])))
def test_every_byte_is_checked(place: int) -> None:
    damaged = bytearray(FRAMES[1])
    damaged[place] ^= 0x40
    with pytest.raises(UpstreamError, match="cannot be read"):
        read(bytes(damaged))


WRONG = {
    "an end inside a message": FRAMES[1][:-1],
    "an end inside a beginning": FRAMES[1][:5],
    "text": b'data: {"type": "ping"}\n\n',
    "a header that is longer than all": built(b"\1a\7\0\x09abc"),
    "a name that is longer than all": built(b"\x09abc"),
    "a type of no header": built(b"\1a\x0a"),
    "a header that is no text": built(b"\1a\7\0\1\xff"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_stream(name: str) -> None:
    with pytest.raises(UpstreamError):
        read(WRONG[name])


@pytest.mark.parametrize(("size", "headers"), [(2**31, 0), (16, 1), (15, 0), (0, 0)])
def test_lengths_that_cannot_be(size: int, headers: int) -> None:
    prelude = struct.pack(">II", size, headers)
    with pytest.raises(UpstreamError, match=f"is {size} bytes long"):
        read(prelude + struct.pack(">I", zlib.crc32(prelude)))
