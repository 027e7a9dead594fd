"""POST /v1/chat/completions and /v1/completions as server-sent events."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import httpx
import pytest

from serve_app.api.app import create_app
from serve_app.core.errors import BackendUnavailable
from serve_app.core.notices import Notice
from serve_app.core.text.chat import Chat, ChatDelta, ChatEvent, Usage
from tests.api.conftest import MakeContext, client_of

URL = "/v1/chat/completions"
ASK = {"messages": [{"role": "user", "content": "one twö"}], "stream": True}
COMPLETE = {"prompt": "one twö", "stream": True}
TOOL = {"type": "function", "function": {"name": "f"}}


def events_of(answer: httpx.Response) -> list[str]:
    """The events' data, after checking that there is nothing but `data:` lines."""
    assert answer.text.endswith("\n\n")
    events = answer.text.removesuffix("\n\n").split("\n\n")
    assert all(re.fullmatch(r"data: [^\n\r]+", event) for event in events)
    return [event.removeprefix("data: ") for event in events]


def chunks_of(answer: httpx.Response) -> list[dict[str, Any]]:
    """The chunks of a stream that ended as it should."""
    *events, last = events_of(answer)
    assert last == "[DONE]"
    return [json.loads(event) for event in events]


async def ask(client: httpx.AsyncClient, **fields: Any) -> list[dict[str, Any]]:
    answer = await client.post(URL, json=ASK | fields)
    assert answer.status_code == 200, answer.text
    return chunks_of(answer)


class Leaving:
    """Leaves something out, which it says with the first words."""

    async def chat(self, request: Chat) -> AsyncGenerator[ChatEvent]:
        yield ChatDelta(text="one", warnings=(Notice(text="a was left out"), Notice(text="b too")))
        yield ChatDelta(index=1, text="two")
        yield ChatDelta(text=" more", finish_reason="stop")
        yield ChatDelta(index=1, finish_reason="length")
        yield Usage(prompt_tokens=1, completion_tokens=2)


@pytest.mark.parametrize("usage", [True, False])
async def test_warnings_come_with_the_end_of_each_choice(
    make_context: MakeContext, usage: bool
) -> None:
    warnings = ["a was left out", "b too"]
    async with client_of(make_context(runs={"chat": Leaving()})) as client:
        options = {"include_usage": usage}
        chunks = await ask(client, model="echo", n=2, stream_options=options)
        whole = await client.post(URL, json=ASK | {"stream": False, "n": 2, "model": "echo"})
    for chunk in chunks:
        has_ended = bool(chunk["choices"] and chunk["choices"][0]["finish_reason"])
        assert chunk.get("warnings") == (warnings if has_ended else None)
    assert whole.json()["warnings"] == warnings


@pytest.mark.parametrize(("path", "body"), [(URL, ASK), ("/v1/completions", COMPLETE)])
async def test_the_headers_of_a_stream(
    client: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    answer = await client.post(path, json=body)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    assert "content-length" not in answer.headers
    assert "twö" in answer.text


@pytest.mark.covers("CoderAI: chat: streams")
async def test_the_frames_of_an_answer(client: httpx.AsyncClient) -> None:
    chunks = await ask(client, model="Parrot")
    heads = [{k: v for k, v in chunk.items() if k != "choices"} for chunk in chunks]
    assert all(head == heads[0] for head in heads)
    assert re.fullmatch(r"chatcmpl-[0-9a-f]{24}", heads[0]["id"])
    assert heads[0]["object"] == "chat.completion.chunk"
    assert heads[0]["model"] == "echo"
    assert isinstance(heads[0]["created"], int)
    empty = {"index": 0, "logprobs": None, "finish_reason": None}
    assert [chunk["choices"] for chunk in chunks] == [
        [empty | {"delta": {"role": "assistant", "content": "one"}}],
        [empty | {"delta": {"content": " twö"}}],
        [empty | {"delta": {}, "finish_reason": "stop"}],
    ]


@pytest.mark.parametrize(
    ("options", "has_usage"),
    [
        ({"include_usage": True}, True),
        ({"include_usage": False}, False),
        ({}, False),
        ({"include_queue": True}, False),
        (None, False),
    ],
)
async def test_usage_comes_last_and_when_asked(
    client: httpx.AsyncClient, options: Any, has_usage: bool
) -> None:
    chunks = await ask(client, stream_options=options)
    assert [chunk for chunk in chunks[:-1] if "usage" in chunk] == []
    assert (chunks[-1]["choices"] == []) == has_usage
    if has_usage:
        counts = {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}
        assert chunks[-1]["usage"] == counts


async def test_every_choice_has_its_role_and_its_end(client: httpx.AsyncClient) -> None:
    choices = [choice for chunk in await ask(client, n=2) for choice in chunk["choices"]]
    for index, text in enumerate(("one twö", "twö one")):
        mine = [choice for choice in choices if choice["index"] == index]
        assert mine[0]["delta"]["role"] == "assistant"
        assert [c for c in mine[1:] if "role" in c["delta"]] == []
        assert "".join(c["delta"].get("content", "") for c in mine) == text
        assert [c["finish_reason"] for c in mine] == [None] * (len(mine) - 1) + ["stop"]


async def test_a_tool_call_in_pieces(client: httpx.AsyncClient) -> None:
    first, last = await ask(client, tools=[TOOL], tool_choice="required")
    call = {"index": 0, "id": f"call_{0:024x}", "type": "function"}
    assert first["choices"][0]["delta"]["tool_calls"] == [
        call | {"function": {"name": "f", "arguments": "{}"}}
    ]
    assert first["choices"][0]["delta"]["role"] == "assistant"
    assert last["choices"][0]["finish_reason"] == "tool_calls"


async def test_reasoning_and_log_probabilities(client: httpx.AsyncClient) -> None:
    first, second, *_ = await ask(client, enable_thinking=True, logprobs=True, top_logprobs=1)
    assert first["choices"][0]["delta"] == {
        "role": "assistant",
        "content": "",
        "reasoning": "thinking about: one twö",
        "reasoning_content": "thinking about: one twö",
    }
    assert second["choices"][0]["delta"] == {"content": "one"}
    content = second["choices"][0]["logprobs"]["content"]
    assert [entry["token"] for entry in content] == ["one"]
    assert [entry["token"] for entry in content[0]["top_logprobs"]] == ["one"]


async def test_completions_stream_their_own_object(client: httpx.AsyncClient) -> None:
    body = COMPLETE | {"stream_options": {"include_usage": True}, "logprobs": 0}
    answer = await client.post("/v1/completions", json=body)
    *chunks, usage = chunks_of(answer)
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}
    choices = [chunk["choices"][0] for chunk in chunks]
    assert [choice["text"] for choice in choices] == ["one", " twö", ""]
    assert [choice["finish_reason"] for choice in choices] == [None, None, "stop"]
    assert [c["logprobs"]["text_offset"] for c in choices[:2]] == [[0], [3]]
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 4


class Breaking:
    """Says one word, then fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def chat(self, request: Chat) -> AsyncGenerator[ChatEvent]:
        yield ChatDelta(text="one")
        raise self._error

    complete = chat


@pytest.mark.parametrize(("path", "body"), [(URL, ASK), ("/v1/completions", COMPLETE)])
async def test_a_failure_is_one_last_frame(
    make_context: MakeContext, path: str, body: dict[str, Any]
) -> None:
    error = BackendUnavailable("the device is gone", provider="echo")
    async with client_of(make_context(runs={"chat": Breaking(error)})) as client:
        answer = await client.post(path, json=body)
    assert answer.status_code == 200
    first, last = events_of(answer)
    assert "one" in first
    assert json.loads(last)["error"] == {
        "message": "the device is gone",
        "type": "server_error",
        "code": "backend_unavailable",
        "param": None,
        "kind": "network",
        "provider": "echo",
    }


async def test_an_unforeseen_failure_is_one_too(make_context: MakeContext) -> None:
    context = make_context(runs={"chat": Breaking(RuntimeError("/srv/secret.py"))})
    async with client_of(context) as client:
        answer = await client.post(URL, json=ASK)
    _, last = events_of(answer)
    assert json.loads(last)["error"]["code"] == "internal_error"
    assert "secret" not in answer.text


async def test_a_client_that_leaves_ends_the_generation(make_context: MakeContext) -> None:
    closed = asyncio.Event()

    class Endless:
        async def chat(self, request: Chat) -> AsyncIterator[ChatEvent]:
            try:
                while True:
                    yield ChatDelta(text="x")
                    await asyncio.sleep(0)
            finally:
                closed.set()

    app = create_app(make_context(runs={"chat": Endless()}))
    content = json.dumps(ASK).encode()
    bodies = [{"type": "http.request", "body": content}]
    spoke = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if bodies:
            return bodies.pop()
        await spoke.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            spoke.set()

    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": URL, "headers": headers}
    scope |= {"query_string": b"", "asgi": {"version": "3.0"}, "http_version": "1.1"}
    scope |= {"scheme": "http", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000)}
    await app(scope, receive, send)
    assert closed.is_set()


async def test_a_stream_that_only_counts_is_whole(make_context: MakeContext) -> None:
    class Silent:
        async def chat(self, request: Chat) -> AsyncIterator[ChatEvent]:
            yield ChatDelta(finish_reason="length")
            yield Usage(prompt_tokens=2, completion_tokens=0)

    async with client_of(make_context(runs={"chat": Silent()})) as client:
        chunks = chunks_of(await client.post(URL, json=ASK))
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, "length"]
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
