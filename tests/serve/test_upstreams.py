"""Models of a provider over the real proxy and ingress, and over the deployment that calls
providers for jobs.
"""

import asyncio
from collections.abc import AsyncIterator

import httpx
import psutil
import pytest

from tests.providers import FIRST, PROVIDERS
from tests.serve.conftest import ADMIN_TOKEN, replica_pids, said
from tests.upstreams.plain_stub import Asked, PlainStub, Told, plain_stub, told, told_events
from tests.upstreams.replies import chat_events, chunk

ADMIN = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
MOST_BYTES = 160 * 1024**2
"""Of its own, and its share of what it has in common with the process that it is a copy of."""


@pytest.fixture
async def stub(http: httpx.AsyncClient) -> AsyncIterator[PlainStub]:
    async with plain_stub(answer) as running:
        body = {"type": "openai", "name": "far", "base_url": running.url, "enabled": True}
        made = await http.post(PROVIDERS, json=body | {"api_keys": [FIRST]}, headers=ADMIN)
        assert made.status_code == 201, made.text
        yield running
        await http.delete(f"{PROVIDERS}/far", headers=ADMIN)


def answer(asked: Asked) -> Told:
    if asked.path.endswith("/models"):
        return told({"data": [{"id": "gpt-4o"}]})
    if asked.json["model"] == "bad":
        return told({"error": {"message": "overloaded"}}, 529)
    return told_events(chat_events("hello", " there"))


async def until_known(http: httpx.AsyncClient) -> None:
    """Every ingress replica knows of a provider within five seconds."""
    good = 0
    while good < 12:
        reply = await http.post("/v1/chat/completions", json=said("hi", "far/m"))
        good = good + 1 if reply.status_code == 200 else 0
        await asyncio.sleep(0.05)


async def test_chat_over_a_provider(http: httpx.AsyncClient, stub: PlainStub) -> None:
    await until_known(http)
    path = "/v1/chat/completions"
    whole = await http.post(path, json=said("hi", "far/m"))
    assert whole.json()["choices"][0]["message"]["content"] == "hello there"
    streamed = await http.post(path, json=said("hi", "far/m", stream=True))
    assert streamed.text.endswith("data: [DONE]\n\n")
    failed = await http.post(path, json=said("hi", "far/bad"))
    assert (failed.status_code, failed.json()["error"]["provider"]) == (503, "far")
    listed = (await http.get("/v1/models")).json()["data"]
    assert "far/gpt-4o" in [each["id"] for each in listed]
    # So far the ingress has called the provider by itself.
    assert replica_pids("upstreams") == []
    job = await http.post(path, json=said("hi", "far/m") | {"async": True})
    for _ in range(100):
        state = (await http.get(job.json()["url"])).json()
        if state["status"] == "succeeded":
            break
        await asyncio.sleep(0.1)
    assert state["status"] == "succeeded"
    (replica,) = replica_pids("upstreams")
    assert psutil.Process(replica).memory_full_info().pss < MOST_BYTES


async def test_a_client_that_leaves_ends_the_request(
    http: httpx.AsyncClient, stub: PlainStub
) -> None:
    await until_known(http)
    never = asyncio.Event()
    stub.left.clear()
    stub.answer = lambda _: told_events([chunk({"content": "a"}), never])
    body = said("hi", "far/m", stream=True)
    async with http.stream("POST", "/v1/chat/completions", json=body) as response:
        assert response.status_code == 200
        async for _ in response.aiter_bytes():
            break
    async with asyncio.timeout(10):
        await stub.left.wait()
