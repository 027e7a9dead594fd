"""What models of providers use is counted as that of the server's own, with the provider's name."""

from typing import Any

import httpx
import pytest

from tests.api.conftest import MakeContext, client_of
from tests.providers import BOSS, ENVIRONMENT
from tests.upstreams.conftest import register
from tests.upstreams.plain_stub import PlainStub, told_events
from tests.upstreams.replies import chat_body, chat_events

PATH = "/v1/chat/completions"


async def lines(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    answer = await client.get("/admin/api/usage", params={"group_by": "model,provider"})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return [{name: value for name, value in line.items() if value} for line in found]


@pytest.mark.parametrize("form", ["whole", "streamed", "job"])
async def test_a_chat(client: httpx.AsyncClient, stub: PlainStub, form: str) -> None:
    stub.answer = lambda _: told_events(chat_events("Hello", " you"))
    await register(client, stub.url)
    more: dict[str, Any] = {"streamed": {"stream": True}, "job": {"async": True}}.get(form, {})
    answer = await client.post(PATH, json=chat_body("mine/org/model", **more))
    assert answer.status_code in (200, 202), answer.text
    if form == "job":
        await client.get(f"/v1/jobs/{answer.json()['id']}/events")
    assert await lines(client) == [
        {
            "model": "mine/org/model",
            "provider": "mine",
            "requests": 1,
            "prompt_tokens": 5,
            "completion_tokens": 2,
            "cached_tokens": 3,
            "reasoning_tokens": 1,
        }
    ]


async def test_what_a_route_stands_for_is_what_is_counted(
    make_context: MakeContext, stub: PlainStub
) -> None:
    """Not the name of the route."""
    stub.answer = lambda _: told_events(chat_events("Hello", " you"))
    routes = [{"name": "best", "models": [{"model": "mine/gpt-4o"}]}]
    context = make_context(environment=ENVIRONMENT, routes=routes)
    async with client_of(context) as client:
        client.headers.update(BOSS)
        await register(client, stub.url)
        for more in ({}, {"stream": True}):
            answer = await client.post(PATH, json=chat_body("best", **more))
            assert answer.status_code == 200, answer.text
        (line,) = await lines(client)
    assert (line["model"], line["provider"], line["requests"]) == ("mine/gpt-4o", "mine", 2)
    await context.listed.close()
