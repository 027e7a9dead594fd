"""What only HTTP/2 has: many requests on a connection, flow control, and goodbyes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hyperframe.frame import DataFrame, GoAwayFrame, PingFrame

from serve_app.core.errors import UpstreamError
from serve_app.core.upstreams.exchange import UpstreamRefused, UpstreamRequest
from serve_app.core.upstreams.timeouts import UpstreamTimeouts
from serve_app.upstreams.client import ProviderCalls, UpstreamClient
from serve_app.upstreams.http2 import connection
from serve_app.upstreams.http2.goodbyes import Goodbye, Goodbyes
from tests.upstreams.http2_stub import Http2Stub, http2_stub
from tests.upstreams.plain_stub import Asked, Told, told


@pytest.fixture
async def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Http2Stub]:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    async with http2_stub(lambda asked: told({"said": asked.path}), tmp_path) as running:
        yield running


@pytest.fixture
async def calls() -> AsyncIterator[ProviderCalls]:
    client = UpstreamClient()
    yield client.calls("mine", UpstreamTimeouts(connect_s=10, read_s=30, total_s=60))
    await client.close()


async def said(calls: ProviderCalls, stub: Http2Stub, path: str = "/a", body: bytes = b"") -> bytes:
    sent = UpstreamRequest("POST" if body else "GET", stub.url + path, (), body)
    async with calls.open(sent) as response:
        return await response.read()


async def test_many_requests_share_a_connection(stub: Http2Stub, calls: ProviderCalls) -> None:
    answers = await asyncio.gather(*(said(calls, stub, f"/{number}") for number in range(50)))
    assert answers == [b'{"said": "/v1/%d"}' % number for number in range(50)]
    assert stub.connections == 1


async def test_what_is_more_than_a_server_allows_goes_elsewhere(
    stub: Http2Stub, calls: ProviderCalls
) -> None:
    stub.streams, stub.tells_late = 4, True
    never = asyncio.Event()
    stub.answer = lambda asked: Told(200, (asked.path.encode(), never))
    reading = [asyncio.ensure_future(said(calls, stub, f"/{number}")) for number in range(12)]
    async with asyncio.timeout(10):
        while len(stub.asked) < 12:
            await asyncio.sleep(0.01)
    never.set()
    assert await asyncio.gather(*reading) == [b"/v1/%d" % number for number in range(12)]
    # What was refused because the limit was not known yet was never begun, and is sent again.
    assert sorted(each.path for each in stub.asked) == sorted(f"/v1/{each}" for each in range(12))
    assert stub.refused > 0
    assert stub.connections == 3


async def test_large_bodies_wait_for_room(stub: Http2Stub, calls: ProviderCalls) -> None:
    large = bytes(range(256)) * 20_000
    stub.answer = lambda asked: Told(200, (asked.body[::-1],))
    assert await said(calls, stub, body=large) == large[::-1]


async def test_a_slow_reader_holds_up_nobody(stub: Http2Stub, calls: ProviderCalls) -> None:
    size = 4 * connection.STREAM_WINDOW
    stub.answer = lambda asked: Told(200, (b"x" * (size if "large" in asked.path else 1),))
    async with calls.open(UpstreamRequest("GET", stub.url + "/large")) as response:
        assert await said(calls, stub, "/small") == b"x"
        await asyncio.sleep(0.1)
        (open_stream,) = stub.open[0].unanswered()
        assert not open_stream.done(), "it was read although nobody has asked for it"
        assert len(await response.read()) == size
    assert stub.connections == 1


async def test_of_a_refusal_the_rest_of_the_request_is_not_sent(
    stub: Http2Stub, calls: ProviderCalls
) -> None:
    stub.refuses_early = True
    with pytest.raises(UpstreamRefused) as caught:
        await said(calls, stub, body=b"x" * 3_000_000)
    assert caught.value.status == 413
    assert caught.value.body == b"too large"
    assert await said(calls, stub) == b'{"said": "/v1/a"}'


async def test_what_has_begun_goes_on_after_a_goodbye(
    stub: Http2Stub, calls: ProviderCalls
) -> None:
    go_on = asyncio.Event()
    stub.answer = lambda _: Told(200, (b"first ", go_on, b"second"))
    async with calls.open(UpstreamRequest("GET", stub.url + "/a")) as response:
        pieces = response.chunks()
        assert await anext(pieces) == b"first "
        stub.say_goodbye()
        stub.answer = lambda _: Told(200, (b"new",))
        await asyncio.sleep(0.1)
        assert await said(calls, stub) == b"new"
        assert stub.connections == 2
        go_on.set()
        assert [each async for each in pieces] == [b"second"]
    async with asyncio.timeout(5):
        await stub.left.wait()
    assert stub.resets == []


async def test_what_was_not_begun_is_sent_again(stub: Http2Stub, calls: ProviderCalls) -> None:
    def answer(asked: Asked) -> Told:
        stub.answer = lambda _: Told(200, (b"new",))
        stub.say_goodbye(last_stream=0)
        return Told(0)

    stub.answer = answer
    assert await said(calls, stub, body=b"{}") == b"new"
    assert [each.body for each in stub.asked] == [b"{}", b"{}"]


async def test_a_server_that_is_always_leaving(stub: Http2Stub, calls: ProviderCalls) -> None:
    def answer(asked: Asked) -> Told:
        stub.say_goodbye(last_stream=0)
        return Told(0)

    stub.answer = answer
    with pytest.raises(UpstreamError, match="incomplete"):
        await said(calls, stub)
    assert len(stub.asked) == 3


async def test_a_silent_server_is_given_up(
    stub: Http2Stub, calls: ProviderCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long before the time that a response may take: a network may have lost the connection."""
    monkeypatch.setattr(connection, "SILENT_S", 0.1)
    stub.answer = lambda _: Told(200, (b"first", asyncio.Event()))
    async with calls.open(UpstreamRequest("GET", stub.url + "/a")) as response:
        pieces = response.chunks()
        assert await anext(pieces) == b"first"
        # It answers whether it is there, and so may think for as long as it likes.
        await asyncio.sleep(0.5)
        stub.open[0].writer.transport.pause_reading()
        with pytest.raises(UpstreamError, match="incomplete"):
            await anext(pieces)


async def test_an_idle_connection_is_closed(
    stub: Http2Stub, calls: ProviderCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "IDLE_S", 0.05)
    await said(calls, stub)
    async with asyncio.timeout(5):
        await stub.left.wait()
    await said(calls, stub)
    assert stub.connections == 2


async def test_keys_are_in_no_table(stub: Http2Stub, calls: ProviderCalls) -> None:
    headers = ((b"X-Api-Key", b"sk-secret"), (b"content-type", b"application/json"))
    async with calls.open(UpstreamRequest("GET", stub.url, headers)) as response:
        await response.read()
    assert stub.secret == {"x-api-key"}
    assert stub.asked[0].headers["x-api-key"] == "sk-secret"


def test_goodbyes_are_found_wherever_the_bytes_are_cut() -> None:
    others = [DataFrame(1, b"x" * 50), PingFrame(0, b"polyphon"), DataFrame(3, b"")]
    goodbye = GoAwayFrame(0, last_stream_id=7, error_code=2, additional_data=b"why").serialize()
    first, second, third = (each.serialize() for each in others)
    sent = first + goodbye + second + third + goodbye
    for size in range(1, len(sent) + 1):
        goodbyes, passed, found = Goodbyes(), b"", []
        for start in range(0, len(sent), size):
            data, some = goodbyes.taken_out(sent[start : start + size])
            passed += data
            found += some
        assert passed == first + second + third
        assert found == [Goodbye(7, 2)] * 2
