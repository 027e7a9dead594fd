"""Conversations that go on: answers of this and of other servers, sent back as they came."""

from collections.abc import AsyncGenerator
from typing import Any, get_args

import httpx
import openai
import pytest
from openai.types import ReasoningEffort

from deployments.fakes.replies import FakeReplies
from serve_app.core.options.fake import FakeOptions
from serve_app.core.text.chat import Chat, ChatEvent
from tests.api.conftest import MakeContext, client_of
from tests.api.test_chat import TOOLS, WEATHER_CALL

URL = "/v1/chat/completions"
QUESTION: dict[str, Any] = {"role": "user", "content": "hi"}
SAID = {"type": "text", "text": "well"}
CALL = {"name": "f", "arguments": "{}"}


class Noting:
    """A chat model of the fake's that keeps what it was asked."""

    def __init__(self) -> None:
        self.seen: list[Chat] = []
        self._replies = FakeReplies(FakeOptions(task="chat"))

    def chat(self, request: Chat) -> AsyncGenerator[ChatEvent]:
        self.seen.append(request)
        return self._replies.chat(request)


@pytest.fixture
def model() -> Noting:
    return Noting()


@pytest.fixture
async def client(make_context: MakeContext, model: Noting) -> Any:
    async with client_of(make_context(runs={"chat": model})) as client:
        yield client


async def go_on(client: httpx.AsyncClient, *turns: Any) -> httpx.Response:
    """Ask once more after these turns."""
    messages = [QUESTION, *turns, {"role": "user", "content": "and now"}]
    answer = await client.post(URL, json={"messages": messages, "model": "echo"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "and now"
    return answer


@pytest.mark.parametrize(
    ("message", "text", "ignored"),
    [
        ({"content": [{"type": "refusal", "refusal": "I will not"}]}, "I will not", ""),
        ({"content": None, "refusal": "I will not"}, "I will not", ""),
        ({"content": [], "refusal": "I will not"}, "I will not", ""),
        ({"content": "yes", "refusal": "I will not"}, "yes", ""),
        ({"content": [{"type": "refusal", "refusal": None}, SAID]}, "well", ""),
        ({"content": [{"type": "output_text", "text": "well", "annotations": []}]}, "well", ""),
        (
            {"content": [{"type": "thinking", "thinking": "hm", "signature": "x"}, SAID]},
            "well",
            "0",
        ),
        ({"content": [{"type": "redacted_thinking", "data": "x"}, SAID]}, "well", "0"),
        ({"content": [SAID, {"type": "reasoning", "summary": []}]}, "well", "1"),
        ({"content": [{"type": "tool_use", "id": "x", "input": {}}]}, "", "0"),
        ({"content": []}, "", ""),
        ({"content": ""}, "", ""),
        ({}, "", ""),
        ({"content": "well", "audio": {"id": "audio_1"}}, "well", ".audio"),
        ({"content": None, "audio": {"id": "audio_1"}}, "", ".audio"),
        ({"content": "well", "annotations": [{"type": "url_citation"}]}, "well", ".annotations"),
        (
            {
                "content": "well",
                "images": [
                    {
                        "type": "image_url",
                        "image_url": {"url": "data:image/png;base64,"},
                        "index": 0,
                    }
                ],
            },
            "well",
            ".images",
        ),
        ({"content": "well", "reasoning_content": "hm"}, "well", ".reasoning_content"),
        ({"content": "well", "reasoning": {"text": "hm"}}, "well", ".reasoning"),
        ({"content": "well", "reasoning": "", "annotations": [], "parsed": {"a": 1}}, "well", ""),
        ({"content": "well", "name": None, "function_call": None, "tool_calls": None}, "well", ""),
    ],
)
async def test_an_assistants_turn_never_ends_the_conversation(
    client: httpx.AsyncClient, model: Noting, message: dict[str, Any], text: str, ignored: str
) -> None:
    """What no model is shown is named."""
    answer = await go_on(client, {"role": "assistant"} | message)
    assert model.seen[0].messages[1].text == text
    path = f"messages[1].content[{ignored}]" if ignored.isdigit() else f"messages[1]{ignored}"
    assert answer.headers.get("x-ignored-fields") == (path if ignored else None)


@pytest.mark.parametrize(
    ("calls", "arguments"),
    [
        ({"tool_calls": [{"id": "c", "type": None, "function": CALL, "index": 0}]}, "{}"),
        ({"tool_calls": [{"id": "c", "function": CALL | {"arguments": None}}]}, "{}"),
        ({"tool_calls": [{"id": "c", "function": CALL | {"arguments": ""}}]}, "{}"),
        ({"tool_calls": [{"id": "c", "function": CALL | {"parsed_arguments": {}}}]}, "{}"),
        ({"tool_calls": [{"id": "c", "type": "builtin", "function": CALL}]}, "{}"),
        (
            {"tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "f", "input": "é"}}]},
            '{"input": "é"}',
        ),
        ({"function_call": CALL, "tool_calls": []}, "{}"),
        ({"function_call": CALL | {"arguments": None}, "tool_calls": None}, "{}"),
    ],
)
async def test_calls_of_any_server(
    client: httpx.AsyncClient, model: Noting, calls: dict[str, Any], arguments: str
) -> None:
    result = {"role": "tool", "tool_call_id": "c", "content": [SAID, SAID], "name": None}
    await go_on(client, {"role": "assistant", "content": None} | calls, result)
    _, turn, answered, _ = model.seen[0].messages
    assert [(call.name, call.arguments) for call in turn.tool_calls] == [("f", arguments)]
    assert (answered.role, answered.text) == ("tool", "wellwell")


@pytest.mark.parametrize("role", ["user", "system", "developer", "tool"])
@pytest.mark.parametrize("kind", ["file", "input_file", "video_url", "thinking"])
async def test_what_a_user_sends_is_not_dropped(
    client: httpx.AsyncClient, role: str, kind: str
) -> None:
    message = {"role": role, "content": [SAID, {"type": kind, kind: {"file_id": "x"}}]}
    answer = await client.post(URL, json={"messages": [QUESTION, message], "model": "echo"})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "messages[1].content[1]")
    assert error["message"].startswith(
        f"parts of the type {kind!r} are not supported; types: 'text'"
    )


async def test_newer_names_of_text_are_understood(client: httpx.AsyncClient, model: Noting) -> None:
    part = {"type": "input_text", "text": "hello"}
    await go_on(client, {"role": "developer", "content": [part]})
    turn = model.seen[0].messages[1]
    assert (turn.role, turn.text) == ("system", "hello")


@pytest.mark.parametrize(
    "fields",
    [{}, {"enable_thinking": True}, {"tools": TOOLS, "tool_choice": "required"}],
    ids=["plain", "reasoning", "calls"],
)
async def test_our_own_answers_come_back(
    client: httpx.AsyncClient, model: Noting, fields: dict[str, Any]
) -> None:
    """With every key, and as the official client writes them down."""
    asked = {"messages": [QUESTION], "model": "echo"} | fields
    message = (await client.post(URL, json=asked)).json()["choices"][0]["message"]
    sdk = openai.AsyncOpenAI(base_url="http://127.0.0.1:8000/v1", api_key="x", http_client=client)
    answer = await sdk.chat.completions.create(
        model="echo", messages=[{"role": "user", "content": "hi"}], extra_body=fields
    )
    is_call = "tools" in fields
    result = {"role": "tool", "tool_call_id": WEATHER_CALL["id"], "content": "sunny"}
    again = answer.choices[0].message
    for turn in (message, again.model_dump(), again.to_dict()):
        await go_on(client, turn, *([result] if is_call else []))
        said = model.seen[-1].messages[1]
        assert said.text == ("" if is_call else "hi")
        assert [call.name for call in said.tool_calls] == ["get_weather"] * is_call


@pytest.mark.parametrize("effort", get_args(get_args(ReasoningEffort)[0]))
async def test_every_effort_of_the_official_client(
    client: httpx.AsyncClient, model: Noting, effort: str
) -> None:
    """Models' templates know three; the others are the nearest of these."""
    sdk = openai.AsyncOpenAI(base_url="http://127.0.0.1:8000/v1", api_key="x", http_client=client)
    await sdk.chat.completions.create(
        model="echo",
        messages=[{"role": "user", "content": "hi"}],
        reasoning_effort=effort,  # type: ignore[arg-type]
    )
    known = {"minimal": "low", "xhigh": "high", "max": "high"}
    assert model.seen[0].reasoning_effort == known.get(effort, effort)
    assert model.seen[0].thinking == (effort != "none")
