"""Chats whose responses are passed back as they come, over HTTP on both sides."""

import json
from typing import Any

import httpx
import pytest

from tests.api.conftest import MakeContext, client_of
from tests.providers import BOSS, ENVIRONMENT
from tests.upstreams.conftest import register
from tests.upstreams.plain_stub import PlainStub, Told, told, told_events
from tests.upstreams.replies import USAGE, chat_body, chat_events, chunk

PATH = "/v1/chat/completions"
EVENT_STREAM = {"Content-Type": "text/event-stream"}
TEXT = {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}


def streamed(*pieces: bytes | float, is_broken: bool = False) -> Told:
    return Told(200, pieces, EVENT_STREAM, is_chunked=True, is_broken=is_broken)


def event(content: Any, end: str = "\n\n") -> bytes:
    return f"data: {json.dumps(content)}{end}".encode()


async def test_a_stream_passes_byte_by_byte(client: httpx.AsyncClient, stub: PlainStub) -> None:
    """With members that this server does not know, in spellings that it would not choose."""
    said = [
        chunk({"content": "Hel"}, obfuscation="xx"),
        chunk({"content": "lo"}),
        chunk(end="stop"),
    ]
    body = b"".join(event(each, "\r\n\r\n") for each in said) + b"data: [DONE]\n\n"
    stub.answer = lambda _: streamed(body[:30], body[30:31], body[31:])
    await register(client, stub.url)
    got = await client.post(PATH, json=chat_body("mine/m", stream=True))
    assert got.content == body
    assert got.headers["content-type"].startswith("text/event-stream")
    assert got.headers["x-job-id"]


async def test_usage_is_asked_for_and_shown_to_who_has(
    client: httpx.AsyncClient, stub: PlainStub
) -> None:
    stub.answer = lambda _: told_events(chat_events("x"))
    await register(client, stub.url)
    without = await client.post(PATH, json=chat_body("mine/m", stream=True))
    options = {"include_usage": True, "include_obfuscation": False}
    with_usage = await client.post(
        PATH, json=chat_body("mine/m", stream=True, stream_options=options)
    )
    assert b"prompt_tokens" not in without.content
    assert with_usage.content.count(json.dumps(USAGE).encode()) == 1
    assert stub.asked[0].json["stream_options"] == {"include_usage": True}
    assert stub.asked[1].json["stream_options"] == options


async def test_what_vendors_add_to_messages_and_tools_goes_along(
    client: httpx.AsyncClient, stub: PlainStub
) -> None:
    stub.answer = lambda _: told({"id": "own", "choices": [], "citations": ["a"]})
    await register(client, stub.url)
    function = {"name": "add", "parameters": {"type": "object"}}
    tool = {"type": "function", "function": function, "cache_control": {"type": "ephemeral"}}
    messages = [
        {"role": "user", "content": [TEXT]},
        {"role": "assistant", "content": "x", "reasoning_details": [{"signature": "s"}]},
        {"role": "user", "content": "y"},
    ]
    body = {"model": "mine/m", "messages": messages, "tools": [tool], "tag": "t", "priority": 3}
    got = await client.post(PATH, json=body)
    assert got.json() == {"id": "own", "choices": [], "citations": ["a"]}
    sent = stub.asked[0].json
    assert (sent["messages"], sent["tools"]) == (messages, [tool])
    assert not {"tag", "priority"} & sent.keys()


async def test_half_a_character_is_no_fault_of_the_provider(
    client: httpx.AsyncClient, stub: PlainStub
) -> None:
    stub.answer = lambda _: told({"choices": []})
    await register(client, stub.url)
    part = b'{"type": "text", "text": "a", "own": "a\\ud800b"}'
    body = b'{"model": "mine/m", "messages": [{"role": "user", "content": [%b]}]}' % part
    got = await client.post(PATH, content=body, headers={"Content-Type": "application/json"})
    assert got.status_code == 200, got.text
    assert stub.asked[0].json["messages"][0]["content"][0]["own"] == "a?b"


async def test_a_stream_that_breaks_off_ends_with_an_error(
    client: httpx.AsyncClient, stub: PlainStub
) -> None:
    first = event(chunk({"content": "Hel"}))
    stub.answer = lambda _: streamed(first, event(chunk({"content": "lo"}))[:20], is_broken=True)
    await register(client, stub.url)
    got = await client.post(PATH, json=chat_body("mine/m", stream=True))
    head, _, tail = got.content.partition(first)
    assert head == b""
    error = json.loads(tail.removeprefix(b"data: "))["error"]
    assert (error["code"], error["provider"]) == ("upstream_error", "mine")


async def test_an_error_in_a_stream_comes_after_what_was_said(
    client: httpx.AsyncClient, stub: PlainStub
) -> None:
    said = [event(chunk({"content": text})) for text in ("Hel", "lo")]
    failure = event({"error": {"message": "overloaded", "code": 502}})
    stub.answer = lambda _: streamed(said[0], 0.05, said[1] + failure)
    await register(client, stub.url)
    got = await client.post(PATH, json=chat_body("mine/m", stream=True))
    head, _, last = got.content.removesuffix(b"\n\n").rpartition(b"\n\n")
    assert head + b"\n\n" == b"".join(said)
    assert json.loads(last.removeprefix(b"data: "))["error"]["provider"] == "mine"


async def test_what_is_left_out_is_told(client: httpx.AsyncClient, stub: PlainStub) -> None:
    """OpenAI has no `top_k`."""
    stub.answer = lambda asked: (
        told_events(chat_events("x")) if asked.json["stream"] else told({"choices": []})
    )
    await register(client, stub.url)
    whole = await client.post(PATH, json=chat_body("mine/m", top_k=5))
    stream = await client.post(PATH, json=chat_body("mine/m", top_k=5, stream=True))
    (warning,) = whole.json()["warnings"]
    assert "top_k" in warning
    assert json.loads(stream.content.split(b"\n\n")[0][6:])["warnings"] == [warning]
    assert stream.content.endswith(b"data: [DONE]\n\n")


async def test_a_job_has_a_result_of_its_own(client: httpx.AsyncClient, stub: PlainStub) -> None:
    """What is kept of it does not depend on the provider's form."""
    stub.answer = lambda _: told_events(chat_events("Hello"))
    await register(client, stub.url)
    got = await client.post(PATH, json=chat_body("mine/m", ref_id="mine"))
    assert got.json()["choices"][0]["message"]["content"] == "Hello", got.text
    job = await client.get("/v1/jobs/mine")
    assert job.json()["result"]["choices"][0]["message"]["content"] == "Hello", job.text


@pytest.mark.parametrize("streams", [False, True])
async def test_a_model_of_this_server_takes_over(
    make_context: MakeContext, stub: PlainStub, streams: bool
) -> None:
    """Comments are no beginning, and an error after them is no answer."""
    failure = event({"error": {"message": "overloaded", "code": 502}})
    stub.answer = lambda asked: (
        streamed(b": PROCESSING\n\n", failure) if asked.json["stream"] else told({}, status=500)
    )
    route = {"name": "both", "models": [{"model": "mine/m"}], "fallbacks": ["echo"]}
    context = make_context(environment=ENVIRONMENT, routes=[route])
    async with client_of(context) as client:
        client.headers.update(BOSS)
        await register(client, stub.url)
        got = await client.post(PATH, json=chat_body("both", "Hi there", stream=streams))
    await context.listed.close()
    assert got.status_code == 200
    assert "there" in got.text
    assert "overloaded" not in got.text
    assert len(stub.asked) == 1
