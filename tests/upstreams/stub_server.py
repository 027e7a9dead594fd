"""Stubs of all vendors, on one port of loopback, in a thread."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn

from tests.upstreams.answers import StubRequest
from tests.upstreams.anthropic_stub import AnthropicStub
from tests.upstreams.bedrock_stub import BedrockStub
from tests.upstreams.openai_stub import (
    AzureStub,
    GoogleStub,
    OpenAIStub,
    OpenRouterStub,
    VercelStub,
)
from tests.upstreams.vendor_stub import BrokenOff, Receive, Send, VendorStub


class VendorStubs:
    """One stub per vendor; an ASGI application that finds them by the first part of the path."""

    def __init__(self) -> None:
        self.openai = OpenAIStub()
        self.azure = AzureStub()
        self.google = GoogleStub()
        self.openrouter = OpenRouterStub()
        self.vercel = VercelStub()
        self.anthropic = AnthropicStub()
        self.bedrock = BedrockStub()
        self.all: dict[str, VendorStub] = {
            each.name: each for each in vars(self).values() if isinstance(each, VendorStub)
        }

    def reset(self) -> None:
        for each in self.all.values():
            each.reset()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        name, _, path = scope["path"][1:].partition("/")
        stub = self.all[name]
        headers = {
            key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]
        }
        request = StubRequest(
            scope["method"],
            f"/{path}",
            scope["raw_path"].decode().removeprefix(f"/{name}"),
            scope["query_string"].decode(),
            headers,
            await _body(receive),
            stub.key_of(headers),
        )
        try:
            await stub.run(request, send, receive)
        except BrokenOff:
            # uvicorn would log any other, and closes the connection all the same.
            raise asyncio.CancelledError from None


async def _body(receive: Receive) -> bytes:
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


@contextmanager
def vendor_stubs() -> Iterator[VendorStubs]:
    """All of them, running."""
    stubs = VendorStubs()
    config = uvicorn.Config(stubs, host="127.0.0.1", port=0, log_level="critical", lifespan="off")  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    sockets = [config.bind_socket()]
    thread = threading.Thread(target=server.run, args=(sockets,), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    for each in stubs.all.values():
        each.origin = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    try:
        yield stubs
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)
        sockets[0].close()


@pytest.fixture(scope="session")
def _running_stubs() -> Iterator[VendorStubs]:
    with vendor_stubs() as running:
        yield running


@pytest.fixture
def stubs(_running_stubs: VendorStubs) -> VendorStubs:
    """As new for each test."""
    _running_stubs.reset()
    return _running_stubs
