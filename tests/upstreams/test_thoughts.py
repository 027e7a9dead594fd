"""What a model of Anthropic's thinks goes back to it with the message, whoever has kept it."""

import json
from typing import Any

import httpx
import pytest

from serve_app.api.openai.chat_thoughts import thoughts_in
from serve_app.core.text.chat import Thought
from tests.upstreams.answers import StubCall
from tests.upstreams.conftest import register
from tests.upstreams.replies import chat_body
from tests.upstreams.stub_server import VendorStubs

PATH = "/v1/chat/completions"
CALL = StubCall()
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
OLD = "far/claude-haiku-4-5-20251001"
FORM = "anthropic-claude-v1"
BODY = chat_body(OLD, "Rain?", tools=[TOOL], reasoning_effort="low")


@pytest.fixture
async def thinking(client: httpx.AsyncClient, stubs: VendorStubs) -> httpx.AsyncClient:
    stubs.anthropic.answers("", calls=(CALL,), finish="tool_calls", reasoning="Where is it?")
    await register(client, stubs.anthropic.base_url, type="anthropic", name="far")
    return client


async def whole_message(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.post(PATH, json=BODY)
    assert answer.status_code == 200, answer.text
    message: dict[str, Any] = answer.json()["choices"][0]["message"]
    return message


async def streamed_message(client: httpx.AsyncClient) -> dict[str, Any]:
    """As clients put it together that keep every piece."""
    answer = await client.post(PATH, json=BODY | {"stream": True})
    lines = [line[6:] for line in answer.text.split("\n\n") if line.startswith("data: {")]
    deltas = [choice["delta"] for line in lines for choice in json.loads(line)["choices"]]
    details = [each for delta in deltas for each in delta.get("reasoning_details", ())]
    function = {"name": CALL.name, "arguments": CALL.arguments}
    call = {"id": CALL.id, "type": "function", "function": function}
    return {
        "role": "assistant",
        "content": "",
        "reasoning": "".join(delta.get("reasoning", "") for delta in deltas),
        "reasoning_details": details,
        "tool_calls": [call],
    }


async def test_a_whole_message_has_one_object_for_a_thought(thinking: httpx.AsyncClient) -> None:
    message = await whole_message(thinking)
    assert message["reasoning"] == "Where is it?"
    signed = {"type": "reasoning.text", "text": "Where is it?", "signature": "c2ln"}
    assert message["reasoning_details"] == [signed | {"format": FORM, "index": 0}]


@pytest.mark.parametrize("answered", [whole_message, streamed_message])
async def test_thoughts_go_back_before_the_calls(
    thinking: httpx.AsyncClient, stubs: VendorStubs, answered: Any
) -> None:
    message = await answered(thinking)
    result = {"role": "tool", "tool_call_id": CALL.id, "content": "dry"}
    body = BODY | {"messages": [*BODY["messages"], message, result]}
    again = await thinking.post(PATH, json=body)
    assert again.status_code == 200, again.text
    assert "warnings" not in again.json()
    assert "x-ignored-fields" not in again.headers
    sent = stubs.anthropic.last.json
    thought = {"type": "thinking", "thinking": "Where is it?", "signature": "c2ln"}
    assert sent["messages"][1]["content"][0] == thought
    assert [each["type"] for each in sent["messages"][1]["content"]] == ["thinking", "tool_use"]
    assert sent["thinking"] == {"type": "enabled", "budget_tokens": 2048}


async def test_without_them_a_model_of_a_budget_does_not_think_on(
    thinking: httpx.AsyncClient, stubs: VendorStubs
) -> None:
    message = await whole_message(thinking)
    del message["reasoning_details"]
    result = {"role": "tool", "tool_call_id": CALL.id, "content": "dry"}
    body = BODY | {"messages": [*BODY["messages"], message, result]}
    again = await thinking.post(PATH, json=body)
    assert "thinking" not in stubs.anthropic.last.json
    assert "reasoning_details" in " ".join(again.json()["warnings"])


async def test_a_model_of_this_server_has_no_use_for_them(thinking: httpx.AsyncClient) -> None:
    message = await whole_message(thinking)
    messages = [*BODY["messages"], message | {"content": "No.", "tool_calls": None}]
    body = {"model": "echo", "messages": [*messages, {"role": "user", "content": "so?"}]}
    answer = await thinking.post(PATH, json=body)
    assert answer.status_code == 200, answer.text


def test_what_is_read_of_details() -> None:
    text: dict[str, Any] = {"type": "reasoning.text", "format": FORM}
    details = [
        text | {"text": "a", "index": 0},
        text | {"text": "b", "index": 0, "signature": "s"},
        {"type": "reasoning.encrypted", "data": "x", "format": FORM},
        text | {"text": "never signed"},
    ]
    kept = (Thought(text="ab", signature="s"), Thought(index=1, data="x"))
    assert thoughts_in(details) == kept
    other = {"type": "reasoning.encrypted", "data": "x", "format": "openai-responses-v1"}
    for odd in (None, "a", {}, [3], [{"type": 5}], [other], [text | {"text": 3, "signature": []}]):
        assert thoughts_in(odd) == ()
