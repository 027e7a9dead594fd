"""Chats with models of a provider of OpenAI's shape, over HTTP on both sides."""

import asyncio
import json
import logging
from typing import Any

import httpx
import pytest

from tests.providers import FIRST
from tests.upstreams.conftest import register
from tests.upstreams.plain_stub import PlainStub, told, told_events
from tests.upstreams.replies import chat_body, chat_events, chunk

PATH = "/v1/chat/completions"


def frames(text: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


async def test_a_whole_answer(client: httpx.AsyncClient, stub: PlainStub) -> None:
    stub.answer = lambda _: told_events(chat_events("Hello", " you"))
    await register(client, stub.url)
    answer = await client.post(PATH, json=chat_body("mine/gpt-4o"))
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said["model"] == "mine/gpt-4o"
    assert said["choices"][0]["message"]["content"] == "Hello you"
    assert said["choices"][0]["finish_reason"] == "stop"
    assert said["usage"]["prompt_tokens"] == 5
    assert said["usage"]["prompt_tokens_details"]["cached_tokens"] == 3
    assert said["system_fingerprint"] == "fp_1"
    (asked,) = stub.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.key == FIRST
    assert asked.json == {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": False,
    }


async def test_a_streamed_answer(client: httpx.AsyncClient, stub: PlainStub) -> None:
    stub.answer = lambda _: told_events(chat_events("Hello", " you"))
    await register(client, stub.url)
    body = chat_body("mine/org/model", stream=True, stream_options={"include_usage": True})
    got = frames((await client.post(PATH, json=body)).text)
    assert "".join(f["choices"][0]["delta"].get("content", "") for f in got[:-1]) == "Hello you"
    assert got[-1]["usage"]["total_tokens"] == 7
    assert stub.asked[0].json["model"] == "org/model"


async def test_what_is_set_is_sent(client: httpx.AsyncClient, stub: PlainStub) -> None:
    """And what is not set is not: every model has its own defaults."""
    stub.answer = lambda _: told_events(chat_events("x"))
    await register(client, stub.url)
    tool = {"name": "add", "description": "Adds.", "parameters": {"type": "object"}}
    body = chat_body(
        "mine/gpt-4o",
        temperature=0.7,
        max_tokens=9,
        stop="END",
        seed=3,
        n=1,
        logit_bias={"5": 1.5},
        tools=[{"type": "function", "function": tool}],
        tool_choice={"type": "function", "function": {"name": "add"}},
        parallel_tool_calls=False,
        reasoning_effort="low",
        logprobs=True,
        top_logprobs=2,
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
    )
    answer = await client.post(PATH, json=body)
    assert answer.status_code == 200, answer.text
    sent = stub.asked[0].json
    assert sent["temperature"] == 0.7
    assert (sent["max_completion_tokens"], sent["stop"], sent["seed"]) == (9, ["END"], 3)
    assert sent["logit_bias"] == {"5": 1.5}
    assert sent["tools"] == [{"type": "function", "function": tool}]
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "add"}}
    assert sent["parallel_tool_calls"] is False
    assert sent["reasoning_effort"] == "low"
    assert (sent["logprobs"], sent["top_logprobs"]) == (True, 2)
    assert sent["response_format"]["json_schema"]["schema"] == {}
    assert "top_p" not in sent


async def test_calls_reasoning_and_log_probabilities(
    client: httpx.AsyncClient, stub: PlainStub
) -> None:
    first = {"index": 0, "id": "call_1", "function": {"name": "add", "arguments": ""}}
    top = {"token": "b", "logprob": -2.0, "bytes": None}
    logprob = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": [top]}
    events = [
        chunk({"role": "assistant", "reasoning_content": "hm"}),
        chunk({"tool_calls": [first]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}),
        chunk({"content": "a"}, logprobs={"content": [logprob]}),
        chunk(end="tool_calls"),
    ]
    stub.answer = lambda _: told_events(events)
    await register(client, stub.url)
    body = chat_body("mine/m", logprobs=True, top_logprobs=1)
    choice = (await client.post(PATH, json=body)).json()["choices"][0]
    assert choice["message"]["reasoning"] == "hm"
    function = {"name": "add", "arguments": '{"a":1}'}
    assert choice["message"]["tool_calls"] == [
        {"id": "call_1", "type": "function", "function": function}
    ]
    assert choice["finish_reason"] == "tool_calls"
    said = choice["logprobs"]["content"][0]
    assert (said["token"], said["bytes"], said["top_logprobs"][0]["token"]) == ("a", [97], "b")


async def test_a_server_that_does_not_stream(client: httpx.AsyncClient, stub: PlainStub) -> None:
    message = {"role": "assistant", "content": "whole"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    stub.answer = lambda _: told({"choices": [choice]})
    await register(client, stub.url)
    said = (await client.post(PATH, json=chat_body("mine/m"))).json()
    assert said["choices"][0]["message"]["content"] == "whole"
    assert "usage" not in said
    # Nor does it where a stream is asked for.
    got = frames((await client.post(PATH, json=chat_body("mine/m", stream=True))).text)
    assert "".join(f["choices"][0]["delta"].get("content", "") for f in got) == "whole"


PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9Q"
    "DwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


async def test_images_are_sent_as_data_urls(client: httpx.AsyncClient, stub: PlainStub) -> None:
    stub.answer = lambda _: told_events(chat_events("a dot"))
    await register(client, stub.url)
    parts = [
        {"type": "text", "text": "What?"},
        {"type": "image_url", "image_url": {"url": PIXEL}},
    ]
    body = {"model": "mine/gpt-4o", "messages": [{"role": "user", "content": parts}]}
    answer = await client.post(PATH, json=body)
    assert answer.status_code == 200, answer.text
    sent = stub.asked[0].json["messages"][0]["content"]
    assert sent[0] == {"type": "text", "text": "What?"}
    assert sent[1]["image_url"]["url"] == PIXEL


@pytest.mark.parametrize("kind", ["openai", "azure", "openrouter", "vercel", "google"])
async def test_fields_that_a_provider_does_not_have(
    client: httpx.AsyncClient, stub: PlainStub, kind: str
) -> None:
    stub.answer = lambda _: told_events(chat_events("x"))
    await register(client, stub.url, type=kind)
    answer = await client.post(PATH, json=chat_body("mine/m", top_k=5, max_tokens=3))
    sent = stub.asked[0].json
    is_gateway = kind in ("openrouter", "vercel")
    assert ("top_k" in sent) == is_gateway
    assert bool(answer.json().get("warnings")) != is_gateway
    assert ("max_completion_tokens" in sent) == (kind in ("openai", "azure"))
    assert (stub.asked[0].headers.get("api-key") == FIRST) == (kind == "azure")


@pytest.mark.covers("Coder: models of providers in /v1/models and in requests")
async def test_other_dialects_reach_it(client: httpx.AsyncClient, stub: PlainStub) -> None:
    stub.answer = lambda _: told_events(chat_events("Hello"))
    await register(client, stub.url)
    body = chat_body("mine/m")
    velesio = await client.post("/chat/completions", json=body)
    assert "Hello" in velesio.text
    service = await client.post("/api/OpenAiChatCompletion", json=body)
    assert "Hello" in service.text, service.text
    job = await client.post(PATH, json=body | {"async": True})
    assert job.status_code == 202


async def test_unknown_fields_are_passed_on(client: httpx.AsyncClient, stub: PlainStub) -> None:
    stub.answer = lambda _: told_events(chat_events("x"))
    await register(client, stub.url)
    more = {"web_search_options": {"a": [1]}, "user": "u1", "reasoning_effort": "minimal"}
    answer = await client.post(PATH, json=chat_body("mine/m", **more, priority=2))
    assert stub.asked[0].json | more == stub.asked[0].json
    assert answer.headers.get("x-ignored-fields") == "priority"
    assert stub.asked[0].json.get("priority") is None
    local = await client.post(PATH, json=chat_body("echo", web_search_options={}))
    assert local.headers["x-ignored-fields"] == "web_search_options"


async def test_no_key_is_in_records_of_jobs(
    client: httpx.AsyncClient, stub: PlainStub, caplog: pytest.LogCaptureFixture
) -> None:
    """Of jobs that ended well and of those that did not, whatever the provider says."""
    caplog.set_level(logging.DEBUG)
    await register(client, stub.url)
    refusal = {"error": {"message": f"wrong key {FIRST}", "param": FIRST, "code": FIRST}}
    for answer in (told_events(chat_events("ok")), told(refusal, 401), told(refusal, 400)):
        stub.answer = lambda _, answer=answer: answer
        await client.post(PATH, json=chat_body("mine/m") | {"async": True})
        await client.post(PATH, json=chat_body("mine/m"))
    for _ in range(100):
        jobs = (await client.get("/v1/jobs")).text
        if '"queued"' not in jobs and '"running"' not in jobs:
            break
        await asyncio.sleep(0.05)
    metrics = (await client.get("/metrics")).text
    audit = (await client.get("/admin/api/audit")).text
    assert '"failed"' in jobs
    assert FIRST not in jobs + metrics + audit + caplog.text


async def test_a_job_sends_what_was_set_and_nothing_else(
    client: httpx.AsyncClient, stub: PlainStub
) -> None:
    """A temperature that is the same as this server's own, too."""
    stub.answer = lambda _: told_events(chat_events("hello"))
    await register(client, stub.url)
    job = await client.post(PATH, json=chat_body("mine/m", temperature=0.7) | {"async": True})
    await client.get(f"/v1/jobs/{job.json()['id']}/events")
    sent = stub.asked[-1].json
    assert sent["temperature"] == 0.7
    assert "top_p" not in sent
