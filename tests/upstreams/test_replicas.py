"""What one ingress replica changes, another one acts upon within five seconds."""

from collections.abc import AsyncIterator

import httpx
import pytest

from serve_app.upstreams.live import LOOK_FIRST_S
from tests.api.conftest import MakeContext, client_of
from tests.providers import BOSS, ENVIRONMENT, FIRST, PROVIDERS, SECOND
from tests.unit.test_live_providers import Ticks
from tests.upstreams.conftest import register
from tests.upstreams.plain_stub import PlainStub, told, told_events
from tests.upstreams.replies import chat_body, chat_events


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
async def another(make_context: MakeContext, ticks: Ticks) -> AsyncIterator[httpx.AsyncClient]:
    """An admin of a second replica over the same database."""
    context = make_context(environment=ENVIRONMENT, ticks=ticks)
    async with client_of(context) as found:
        found.headers.update(BOSS)
        yield found
    await context.listed.close()


async def chat(client: httpx.AsyncClient) -> int:
    reply = await client.post("/v1/chat/completions", json=chat_body("mine/m"))
    return reply.status_code


async def test_another_replica_acts_upon_every_change(
    client: httpx.AsyncClient, another: httpx.AsyncClient, stub: PlainStub, ticks: Ticks
) -> None:
    stub.answer = lambda asked: (
        told({"data": [{"id": "m"}]})
        if asked.path.endswith("/models")
        else told_events(chat_events("hello"))
    )

    async def change(**fields: object) -> None:
        changed = await client.patch(f"{PROVIDERS}/mine", json=fields)
        assert changed.status_code == 200, changed.text
        ticks.now += LOOK_FIRST_S

    async def listed() -> bool:
        models = (await another.get("/v1/models")).json()["data"]
        return "mine/m" in {model["id"] for model in models}

    assert await chat(another) == 404
    await register(client, stub.url)
    ticks.now += LOOK_FIRST_S
    assert (await chat(another), stub.asked[-1].key) == (200, FIRST)
    assert await listed()
    await change(api_keys=[{"api_key": SECOND}])
    assert (await chat(another), stub.asked[-1].key) == (200, SECOND)
    await change(enabled=False)
    assert await chat(another) == 404
    assert not await listed()
    await change(enabled=True)
    assert await chat(another) == 200
    await client.delete(f"{PROVIDERS}/mine")
    ticks.now += LOOK_FIRST_S
    assert await chat(another) == 404
    assert not await listed()
