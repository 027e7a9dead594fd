"""Every vendor's models, by its own wire form, behind the same API."""

import json
from typing import Any

import httpx
import pytest

from tests.providers import FIRST, SECOND, bedrock
from tests.upstreams.answers import StubCall
from tests.upstreams.conftest import register
from tests.upstreams.replies import chat_body
from tests.upstreams.signatures import ACCESS_KEY, REGION, SECRET
from tests.upstreams.stub_server import VendorStubs
from tests.upstreams.vendor_stub import VendorStub

PATH = "/v1/chat/completions"
MODELS = {
    "openai": "gpt-5",
    "azure": "gpt-5",
    "google": "gemini-3-flash",
    "openrouter": "openai/gpt-5",
    "vercel": "openai/gpt-5",
    "anthropic": "claude-opus-5-5",
    "bedrock": "eu.anthropic.claude-opus-5-5",
}
VENDORS = [pytest.param(name, id=name) for name in MODELS]
SETTINGS = {"region": REGION, "access_key": ACCESS_KEY, "access_key_secret": SECRET}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CALL = StubCall()


async def registered(client: httpx.AsyncClient, stub: VendorStub) -> str:
    """The id of one of its models."""
    rest: dict[str, Any] = {"api_keys": [FIRST, SECOND]}
    if stub.name == "bedrock":
        rest = {"api_keys": [], "settings": bedrock(**SETTINGS)}
    await register(client, stub.base_url, type=stub.name, name="far", **rest)
    return f"far/{MODELS[stub.name]}"


async def frames(client: httpx.AsyncClient, body: dict[str, Any]) -> list[Any]:
    answer = await client.post(PATH, json=body | {"stream": True})
    assert answer.status_code == 200, answer.text
    lines = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    return [json.loads(line) for line in lines if line != "[DONE]"]


@pytest.mark.parametrize("name", VENDORS)
async def test_an_answer(client: httpx.AsyncClient, stubs: VendorStubs, name: str) -> None:
    stub = stubs.all[name]
    stub.answers("Hel", "lö", reasoning="hm", reasoning_tokens=2)
    model = await registered(client, stub)
    answer = await client.post(PATH, json=chat_body(model))
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said["choices"][0]["message"]["content"] == "Hellö"
    assert said["choices"][0]["finish_reason"] == "stop"
    assert said["usage"]["prompt_tokens"] == 9
    assert said["usage"]["completion_tokens"] == 4
    assert stub.last.key == (ACCESS_KEY if name == "bedrock" else FIRST)
    streamed = await frames(client, chat_body(model, stream_options={"include_usage": True}))
    texts = [c["delta"].get("content") or "" for frame in streamed for c in frame["choices"]]
    assert "".join(texts) == "Hellö"
    # What Google's models have thought is in the total alone, which is passed on as it came.
    assert streamed[-1]["usage"]["total_tokens"] == (15 if name == "google" else 13)


@pytest.mark.parametrize("name", VENDORS)
async def test_calls(client: httpx.AsyncClient, stubs: VendorStubs, name: str) -> None:
    stub = stubs.all[name]
    second = StubCall("now", "{}", "call_2")
    stub.answers("", calls=(CALL, second), finish="tool_calls")
    body = chat_body(await registered(client, stub), tools=[TOOL])
    answer = await client.post(PATH, json=body)
    assert answer.status_code == 200, answer.text
    (choice,) = answer.json()["choices"]
    assert choice["finish_reason"] == "tool_calls"
    calls = choice["message"]["tool_calls"]
    assert [call["id"] for call in calls] == ["call_1", "call_2"]
    assert [call["function"]["name"] for call in calls] == ["weather", "now"]
    assert json.loads(calls[0]["function"]["arguments"]) == {"city": "Graz"}
    assert json.loads(calls[1]["function"]["arguments"]) == {}


@pytest.mark.parametrize("name", VENDORS)
async def test_an_error_in_a_stream(
    client: httpx.AsyncClient, stubs: VendorStubs, name: str
) -> None:
    stub = stubs.all[name]
    stub.mishap("error_in_stream")
    body = chat_body(await registered(client, stub), stream=True)
    answer = await client.post(PATH, json=body)
    # Where all of it has come at once, nothing has been passed on yet, and it is no stream.
    lines = answer.text.split("\n\n") if answer.status_code == 200 else [answer.text]
    *said, error = [json.loads(line.removeprefix("data: ")) for line in lines if line]
    assert error["error"]["provider"] == "far"
    assert "That is all." in error["error"]["message"]
    texts = [c["delta"].get("content") or "" for frame in said for c in frame["choices"]]
    assert "Hello from far away.".startswith("".join(texts))


REFUSALS = {400: 400, 401: 502, 403: 502, 404: 404, 429: 503, 500: 502, 503: 503}


@pytest.mark.parametrize("name", VENDORS)
async def test_refusals(client: httpx.AsyncClient, stubs: VendorStubs, name: str) -> None:
    stub = stubs.all[name]
    body = chat_body(await registered(client, stub))
    answers = {}
    for status in REFUSALS:
        stub.fails(status, times=2)
        answer = await client.post(PATH, json=body)
        answers[status] = answer.status_code
        assert answer.json()["error"]["provider"] == "far"
        assert "That is all." in answer.json()["error"]["message"]
        stub.troubles.clear()
    assert answers == REFUSALS
    assert FIRST not in answer.text


@pytest.mark.parametrize("name", [each for each in MODELS if each != "bedrock"])
async def test_the_next_key(client: httpx.AsyncClient, stubs: VendorStubs, name: str) -> None:
    stub = stubs.all[name]
    stub.keys = {SECOND}
    answer = await client.post(PATH, json=chat_body(await registered(client, stub)))
    assert answer.status_code == 200, answer.text
    assert [request.key for request in stub.requests][-2:] == [FIRST, SECOND]


LISTED = {
    "openai": {"gpt-5", "text-embedding-3-small", "gpt-image-1", "tts-1", "whisper-1"},
    "azure": {"gpt-5", "text-embedding-3-small", "gpt-image-1", "tts-1", "whisper-1"},
    "google": {"gemini-3-flash", "gemini-embedding-001", "imagen-4"},
    "openrouter": {"openai/gpt-5", "meta-llama/llama-4:free"},
    "vercel": {"openai/gpt-5", "openai/text-embedding-3-small", "google/imagen-4.0-generate"},
    "anthropic": {"claude-opus-5-5", "claude-haiku-4-5-20251001"},
    "bedrock": {
        "anthropic.claude-3-haiku-20240307-v1:0",
        "eu.amazon.nova-pro-v1:0",
        "eu.anthropic.claude-opus-5-5",
    },
}


@pytest.mark.parametrize("name", VENDORS)
async def test_listings(client: httpx.AsyncClient, stubs: VendorStubs, name: str) -> None:
    await registered(client, stubs.all[name])
    answer = await client.get("/v1/models")
    ids = {each["id"] for each in answer.json()["data"]}
    assert {id.removeprefix("far/") for id in ids if id.startswith("far/")} == LISTED[name]
