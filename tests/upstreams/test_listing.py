"""Models of providers in the list of models, and what is said of providers that do not list any."""

from typing import Any

import httpx
import pytest

from serve_app.api.context import Context
from tests.api.conftest import MakeContext, client_of
from tests.providers import BOSS, ENVIRONMENT, FIRST, PROVIDERS, SECOND
from tests.upstreams.conftest import register
from tests.upstreams.plain_stub import Asked, PlainStub, Told, told

MODELS: list[dict[str, Any]] = [
    {"id": "gpt-4o", "created": 1700000000},
    {"id": "text-embedding-3-small"},
    {"id": "dall-e-3"},
    {"id": "tts-1"},
    {"id": "whisper-1"},
    {"id": "sora-2"},
    {"id": "models/gemini-3"},
    {"id": "org/painter", "architecture": {"output_modalities": ["image"]}},
    {"id": "org/seer", "architecture": {"input_modalities": ["text", "image"]}},
    {"id": "blind-gpt-4o", "architecture": {"input_modalities": ["text"]}},
    {"id": "x", "type": "embedding"},
    {"id": ""},
    {"id": 5},
]


def listing(_: Asked) -> Told:
    return told({"object": "list", "data": MODELS})


async def listed(client: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    data = (await client.get("/v1/models")).json()["data"]
    return {each["id"]: each for each in data if each["id"].startswith("mine/")}


@pytest.mark.covers("Coder: models of providers in /v1/models and in requests")
async def test_models_by_what_they_are_for(client: httpx.AsyncClient, stub: PlainStub) -> None:
    stub.answer = listing
    await register(client, stub.url)
    found = await listed(client)
    assert {id.removeprefix("mine/"): each["type"] for id, each in found.items()} == {
        "gpt-4o": "vision",
        "text-embedding-3-small": "embedding",
        "dall-e-3": "image",
        "tts-1": "tts",
        "whisper-1": "audio",
        "sora-2": "video",
        "gemini-3": "vision",
        "org/painter": "image",
        "org/seer": "vision",
        "blind-gpt-4o": "text",
        "x": "embedding",
    }
    assert found["mine/gpt-4o"]["created"] == 1700000000
    assert found["mine/gpt-4o"]["owned_by"] == "mine"
    assert found["mine/gpt-4o"]["backend"] == "openai"
    assert found["mine/gpt-4o"]["status"] == {"state": "ready"}
    one = await client.get("/v1/models/mine/org/seer")
    assert one.json() == found["mine/org/seer"]
    images = (await client.get("/v1/models", params={"type": "image"})).json()["data"]
    assert "mine/dall-e-3" in [each["id"] for each in images]


async def test_the_list_is_kept_until_a_provider_changes(
    client: httpx.AsyncClient, stub: PlainStub
) -> None:
    stub.answer = listing
    await register(client, stub.url)
    for _ in range(3):
        assert await listed(client)
    assert len(stub.asked) == 1
    await client.patch(f"{PROVIDERS}/mine", json={"enabled": False})
    assert await listed(client) == {}
    await client.patch(f"{PROVIDERS}/mine", json={"enabled": True})
    assert await listed(client)
    await client.delete(f"{PROVIDERS}/mine")
    assert await listed(client) == {}


async def test_a_provider_that_cannot_be_reached_drops_out(
    client: httpx.AsyncClient, stub: PlainStub
) -> None:
    stub.answer = listing
    await register(client, stub.url)
    await register(client, "http://127.0.0.1:9/v1", name="away")
    assert await listed(client)
    away = (await client.get(f"{PROVIDERS}/away")).json()
    (warning,) = away["status"]["warnings"]
    assert "the last contact, at 20" in warning
    assert "no connection" in warning
    every = {each["name"]: each for each in (await client.get(PROVIDERS)).json()}
    assert "status" not in every["mine"]
    assert every["away"]["status"]["warnings"] == [warning]


async def test_a_connection_is_tested(client: httpx.AsyncClient, stub: PlainStub) -> None:
    """Of a disabled provider too, with every key in turn, and no key is told."""
    stub.answer = lambda asked: (
        listing(asked) if asked.key == SECOND else told({"error": f"bad {FIRST}"}, 401)
    )
    await register(client, stub.url, enabled=False)
    bad = await client.post(f"{PROVIDERS}/mine/test")
    assert bad.status_code == 200, bad.text
    assert bad.json()["ok"] is False
    assert "401" in bad.json()["error"]
    assert FIRST not in bad.text
    keys = [{"api_key": FIRST}, {"api_key": SECOND}]
    await client.patch(f"{PROVIDERS}/mine", json={"api_keys": keys})
    good = (await client.post(f"{PROVIDERS}/mine/test")).json()
    assert (good["ok"], "gpt-4o" in good["models"]) == (True, True)
    assert good["latency_ms"] > 0
    assert "error" not in good
    assert await listed(client) == {}


@pytest.mark.parametrize(("named", "status"), [("nobody", 404), ("No_name", 400)])
async def test_only_what_is_there_is_tested(
    client: httpx.AsyncClient, named: str, status: int
) -> None:
    answer = await client.post(f"{PROVIDERS}/{named}/test")
    assert answer.status_code == status
    assert answer.json()["message"]


@pytest.mark.parametrize("content", [{"data": None}, {"models": []}, [1]])
async def test_what_is_no_list(client: httpx.AsyncClient, stub: PlainStub, content: Any) -> None:
    stub.answer = lambda _: told(content)
    await register(client, stub.url)
    assert await listed(client) == {}
    assert (await client.post(f"{PROVIDERS}/mine/test")).json()["ok"] is False


async def test_routes_are_listed(make_context: MakeContext, stub: PlainStub) -> None:
    """As the first of their models, as soon as one of them is there."""
    routes = [
        {"name": "smart", "models": [{"model": "mine/gpt-4o"}]},
        {"name": "safe", "models": [{"model": "mine/gpt-4o"}], "fallbacks": ["echo"]},
    ]
    context: Context = make_context(environment=ENVIRONMENT, routes=routes)
    stub.answer = listing
    async with client_of(context) as client:
        client.headers.update(BOSS)
        before = [each["id"] for each in (await client.get("/v1/models")).json()["data"]]
        assert ("safe" in before, "smart" in before) == (True, False)
        await register(client, stub.url)
        after = {each["id"]: each for each in (await client.get("/v1/models")).json()["data"]}
        assert after["smart"]["type"] == "vision"
    await context.listed.close()
