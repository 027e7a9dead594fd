"""The client for providers, against a server that misbehaves as it is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from serve_app.core.errors import AppError, TimedOut, UpstreamError
from serve_app.core.upstreams.exchange import UpstreamRefused, UpstreamRequest
from serve_app.core.upstreams.timeouts import UpstreamTimeouts
from serve_app.upstreams.client import MOST_ERROR_BYTES, ProviderCalls, UpstreamClient
from tests.upstreams.http2_stub import Http2Stub, http2_stub
from tests.upstreams.plain_stub import Asked, PlainStub, Told, plain_stub, told

SECRET = "sk-very-secret"


@pytest.fixture(params=["HTTP/1.1", "TLS", "HTTP/2"])
async def stub(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[PlainStub]:
    """The same server without TLS, with it, and where it chooses HTTP/2."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    running: AbstractAsyncContextManager[PlainStub] = plain_stub(said_ok)
    if request.param != "HTTP/1.1":
        chosen = "h2" if request.param == "HTTP/2" else "http/1.1"
        running = http2_stub(said_ok, tmp_path, chosen)
    async with running as started:
        yield started


def said_ok(_: Asked) -> Told:
    return told({"ok": True})


@pytest.fixture
async def client() -> AsyncIterator[UpstreamClient]:
    made = UpstreamClient(most_bytes=1000)
    yield made
    await made.close()


def request(stub: PlainStub, path: str = "/models", body: bytes = b"") -> UpstreamRequest:
    headers = ((b"authorization", f"Bearer {SECRET}".encode()),)
    return UpstreamRequest("POST" if body else "GET", stub.url + path, headers, body)


def calls(client: UpstreamClient, **timeouts: float) -> ProviderCalls:
    return client.calls("mine", UpstreamTimeouts.model_validate(timeouts))


async def failure(
    client: UpstreamClient,
    sent: UpstreamRequest,
    kind: type[AppError] = UpstreamError,
    **times: float,
) -> str:
    with pytest.raises(kind) as caught:
        async with calls(client, **times).open(sent) as response:
            await response.read()
    assert caught.value.provider == "mine"
    assert SECRET not in repr(caught.value)
    return caught.value.message


async def test_a_request_and_its_response(stub: PlainStub, client: UpstreamClient) -> None:
    async with calls(client).open(request(stub, "/chat/completions", b'{"a": 1}')) as response:
        assert response.status == 200
        assert response.headers["content-type"] == "application/json"
        assert await response.read() == b'{"ok": true}'
    (asked,) = stub.asked
    assert (asked.method, asked.path, asked.json) == ("POST", "/v1/chat/completions", {"a": 1})
    assert asked.key == SECRET
    assert asked.headers["accept-encoding"] == "identity"


async def test_connections_are_used_again(stub: PlainStub, client: UpstreamClient) -> None:
    for _ in range(3):
        async with calls(client).open(request(stub)) as response:
            await response.read()
    assert len(stub.asked) == 3
    # The first one over TLS was opened to ask for the version; HTTP/1.1 has one of its own.
    is_asked_in_vain = isinstance(stub, Http2Stub) and stub.chosen != "h2"
    assert stub.connections == (2 if is_asked_in_vain else 1)


async def test_paths_and_keys_are_sent_as_they_are(stub: PlainStub, client: UpstreamClient) -> None:
    sent = UpstreamRequest(
        "GET", stub.url + "/a%3Ab?x=%2F", ((b"x-api-key", "schlüssel".encode()),)
    )
    async with calls(client).open(sent) as response:
        await response.read()
    assert stub.asked[0].path == "/v1/a%3Ab?x=%2F"
    assert stub.asked[0].headers["x-api-key"].encode("latin-1").decode() == "schlüssel"


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 404, 429, 500, 529])
async def test_what_is_no_success_is_raised(
    stub: PlainStub, client: UpstreamClient, status: int
) -> None:
    """A redirect is not followed, to whatever host it leads."""
    stub.answer = lambda _: told({"error": "no"}, status, Location=stub.url, **{"Retry-After": "3"})
    with pytest.raises(UpstreamRefused) as caught:
        async with calls(client).open(request(stub)):
            pass
    assert caught.value.status == status
    assert caught.value.headers["retry-after"] == "3"
    assert caught.value.body == (b'{"error": "no"}' if status >= 400 else b"")
    assert len(stub.asked) == 1


async def test_of_an_error_only_the_beginning_is_read(
    stub: PlainStub, client: UpstreamClient
) -> None:
    stub.answer = lambda _: Told(500, (b"x" * 200_000,))
    with pytest.raises(UpstreamRefused) as caught:
        async with calls(client).open(request(stub)):
            pass
    assert len(caught.value.body) == MOST_ERROR_BYTES


@pytest.mark.parametrize(
    "answer",
    [
        Told(200, (b"abc",), length=10),
        Told(200, (b"abc",), is_chunked=True, is_broken=True),
    ],
)
async def test_a_body_that_ends_early(
    stub: PlainStub, client: UpstreamClient, answer: Told
) -> None:
    stub.answer = lambda _: answer
    assert "incomplete" in await failure(client, request(stub))


async def test_a_body_that_is_too_large(stub: PlainStub, client: UpstreamClient) -> None:
    stub.answer = lambda _: Told(200, (b"x" * 1001,))
    assert "larger than 1000 bytes" in await failure(client, request(stub))


async def test_what_does_not_begin_and_what_stalls(stub: PlainStub, client: UpstreamClient) -> None:
    never = asyncio.Event()
    for answer in (Told(200, (never,), length=5), Told(200, (b"ab", never), length=5)):
        stub.answer = lambda _, answer=answer: answer
        assert "in time" in await failure(client, request(stub), TimedOut, read_s=0.1)
        assert "in time" in await failure(client, request(stub), TimedOut, total_s=0.1)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", ["127.0.0.1:9", "nowhere.invalid"])
async def test_nobody_listens(client: UpstreamClient, scheme: str, host: str) -> None:
    sent = UpstreamRequest("GET", f"{scheme}://{host}/v1/models")
    assert "no connection" in await failure(client, sent)


async def test_a_server_that_nobody_vouches_for(
    stub: PlainStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    client = UpstreamClient()
    sent = request(stub)
    if sent.url.startswith("https"):
        assert "no connection" in await failure(client, sent)
    assert stub.asked == []
    await client.close()


async def test_a_version_may_be_ruled_out(stub: PlainStub) -> None:
    client = UpstreamClient(http2=False)
    if isinstance(stub, Http2Stub) and stub.chosen == "h2":
        assert "invalid" in await failure(client, request(stub))
    else:
        async with calls(client).open(request(stub)) as response:
            assert response.status == 200
        assert stub.connections == 1
    await client.close()


async def test_no_http_at_all(client: UpstreamClient) -> None:
    def begin(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        sent = UpstreamRequest("GET", f"http://127.0.0.1:{port}/v1/models")
        assert "invalid" in await failure(client, sent)


@pytest.mark.parametrize("host", ["169.254.169.254", "[fd00:ec2::254]"])
async def test_metadata_is_never_called(client: UpstreamClient, host: str) -> None:
    sent = UpstreamRequest("GET", f"http://{host}/v1/models")
    assert "metadata" in await failure(client, sent)


async def test_a_header_that_cannot_be_sent(stub: PlainStub, client: UpstreamClient) -> None:
    sent = UpstreamRequest("GET", stub.url, ((b"x-api-key", f"{SECRET}\r\nx: y".encode()),))
    await failure(client, sent)
    assert stub.asked == []


async def test_leaving_early_ends_the_request(stub: PlainStub, client: UpstreamClient) -> None:
    never = asyncio.Event()
    stub.answer = lambda _: Told(200, (b"first", never), is_chunked=True)
    async with calls(client).open(request(stub)) as response:
        async for chunk in response.chunks():
            assert chunk == b"first"
            break
    async with asyncio.timeout(5):
        await stub.left.wait()


async def test_no_proxy_of_the_environment(
    stub: PlainStub, client: UpstreamClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with calls(client).open(request(stub)) as response:
        assert response.status == 200
