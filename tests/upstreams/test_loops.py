"""Providers that lead back to the server: a request is refused after some rounds."""

import asyncio
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
import uvicorn

from serve_app.api.app import create_app
from serve_app.core.upstreams.hops import HOP_HEADER, MOST_HOPS
from tests.api.conftest import MakeContext
from tests.providers import BOSS, ENVIRONMENT
from tests.upstreams.conftest import register
from tests.upstreams.replies import chat_body

PATH = "/v1/chat/completions"
ROUTES = [
    {"name": "round", "models": [{"model": "me/round"}], "fallbacks": ["echo"]},
    {"name": "ring", "models": [{"model": "me/ring"}], "fallbacks": ["squares"]},
]
HEADER = HOP_HEADER.decode()


@pytest.fixture
async def itself(make_context: MakeContext) -> AsyncIterator[httpx.AsyncClient]:
    """An admin of a server whose provider `me` is the server."""
    context = make_context(environment=ENVIRONMENT, routes=ROUTES, limits={"rates": None})
    config = uvicorn.Config(create_app(context), lifespan="off", log_level="error")
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0))
    running = asyncio.ensure_future(server.serve(sockets=[listening]))
    while not server.started:
        await asyncio.sleep(0.01)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    async with httpx.AsyncClient(base_url=url, headers=BOSS, trust_env=False) as found:
        key = BOSS["Coder-Session-Token"]
        await register(found, f"{url}/v1", type="openai-compat", name="me", api_keys=[key])
        yield found
    server.should_exit = True
    await running
    await context.listed.close()
    listening.close()


@pytest.mark.parametrize("more", [{}, {"stream": True}])
async def test_a_round_ends_with_an_error_that_says_so(
    itself: httpx.AsyncClient, more: dict[str, object]
) -> None:
    """At every server on the way: no fall-back goes round again."""
    answer = await itself.post(PATH, json=chat_body("round", **more))
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert f"passed {MOST_HOPS} servers" in error["message"]


async def test_a_round_of_jobs_ends_too(itself: httpx.AsyncClient) -> None:
    """Each of which waits for the next one."""
    body = {"model": "ring", "prompt": "a dot", "size": "64x64"}
    answer = await itself.post("/v1/images/generations", json=body, timeout=60)
    assert answer.status_code == 400, answer.text
    assert f"passed {MOST_HOPS} servers" in answer.json()["error"]["message"]


async def test_a_way_that_ends_is_none(itself: httpx.AsyncClient) -> None:
    answer = await itself.post(PATH, json=chat_body("me/me/me/echo", "hello"))
    assert answer.status_code == 200, answer.text
    body = {"model": "me/digest", "input": "a"}
    assert (await itself.post("/v1/embeddings", json=body)).status_code == 200


@pytest.mark.parametrize(
    ("told", "status"), [(str(MOST_HOPS), 400), ("4", 200), ("x", 200), ("-9", 200), ("9999", 200)]
)
async def test_what_the_header_says(itself: httpx.AsyncClient, told: str, status: int) -> None:
    headers = {HEADER: told}
    answer = await itself.post(PATH, json=chat_body("me/echo"), headers=headers)
    assert answer.status_code == status
    if status == 400:
        assert answer.json()["error"]["code"] == "provider_loop"
    own = await itself.post(PATH, json=chat_body("echo"), headers=headers)
    assert own.status_code == 200
