"""Chats with models of other makers than Anthropic at Amazon Bedrock; signatures are checked."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.errors import UpstreamError
from serve_app.core.text.chat import Chat, ChatMessage, ImagePart, TextPart, ToolCall, ToolCallDelta
from serve_app.core.upstreams.exchange import UpstreamRefused, UpstreamTarget
from serve_app.upstreams.bedrock_places import maker_of
from serve_app.upstreams.converse_request import converse_request
from tests.providers import bedrock as bedrock_settings
from tests.upstreams.answers import StubCall
from tests.upstreams.bedrock_stub import BedrockStub
from tests.upstreams.conftest import register
from tests.upstreams.openai_media import PNG
from tests.upstreams.replies import chat_body
from tests.upstreams.signatures import ACCESS_KEY, REGION, SECRET
from tests.upstreams.stub_server import VendorStubs
from tests.upstreams.targets import (
    answered,
    asking,
    deltas,
    notices_of,
    said,
    target,
    text_of,
    usage_of,
)
from tests.upstreams.test_bedrock_form import GIVEN, form_of

NOVA = "eu.amazon.nova-pro-v1:0"
STORE = FsspecBlobStore(Path("/nowhere"))
TOOL: dict[str, Any] = {
    "name": "weather",
    "description": "tells it",
    "parameters": {"required": []},
}


@pytest.fixture
def bedrock(stubs: VendorStubs) -> BedrockStub:
    return stubs.bedrock


def whom(bedrock: BedrockStub, model: str = NOVA) -> UpstreamTarget:
    there = {"region": REGION}
    return target("bedrock", bedrock.base_url, model, None, settings=there, **GIVEN)


async def written(chat: Chat, model: str = NOVA, store: Any = STORE) -> tuple[Any, list[str]]:
    content, left_out = await converse_request(chat, model, store)
    return content, [str(notice) for notice in left_out]


@pytest.mark.parametrize(
    ("model", "maker"),
    [
        ("amazon.nova-pro-v1:0", "amazon"),
        ("us.meta.llama4-scout-17b-instruct-v1:0", "meta"),
        ("us-gov.anthropic.claude-3-haiku", "anthropic"),
        ("global.anthropic.claude-opus-5-5", "anthropic"),
        ("deepseek.v3.2", "deepseek"),
        ("arn:aws:bedrock:eu-west-1::foundation-model/mistral.mistral-large-2407-v1:0", "mistral"),
        ("arn:aws:bedrock:eu-west-1:1:application-inference-profile/ab12cd", None),
        ("claude", None),
    ],
)
def test_makers(model: str, maker: str | None) -> None:
    assert maker_of(model) == maker


async def test_an_answer(bedrock: BedrockStub) -> None:
    bedrock.answers("Hel", "lo", reasoning="hm", cached_tokens=5)
    chat = asking(sampling={"max_tokens": 9, "temperature": 0.5, "stop": ("x",)})
    events = await answered(form_of(bedrock), chat, whom(bedrock))
    assert [(d.reasoning, d.text, d.finish_reason) for d in deltas(events)] == [
        ("hm", "", None),
        ("", "Hel", None),
        ("", "lo", None),
        ("", "", "stop"),
    ]
    assert all(delta.thought is None for delta in deltas(events))
    usage = usage_of(events)
    counted = (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens)
    assert counted == (9, 5, 4)
    assert bedrock.last.raw_path == "/model/eu.amazon.nova-pro-v1%3A0/converse-stream"
    assert bedrock.last.json == {
        "messages": [{"role": "user", "content": [{"text": "Hello"}]}],
        "inferenceConfig": {"maxTokens": 9, "stopSequences": ["x"], "temperature": 0.5},
    }


@pytest.mark.parametrize("streams_tools", [True, False])
async def test_calls(bedrock: BedrockStub, streams_tools: bool) -> None:
    """A model that does not stream with tools is asked for the whole answer."""
    bedrock.answers("Let me see.", calls=(StubCall(),), finish="tool_calls")
    bedrock.streams_tools = streams_tools
    events = await answered(form_of(bedrock), asking(tools=(TOOL,)), whom(bedrock))
    assert text_of(events) == "Let me see."
    pieces = [piece for delta in deltas(events) for piece in delta.tool_calls]
    assert pieces[0] == ToolCallDelta(index=0, id="call_1", name="weather")
    assert "".join(piece.arguments for piece in pieces) == '{"city": "Graz"}'
    assert deltas(events)[-1].finish_reason == "tool_calls"
    assert usage_of(events).completion_tokens == 4
    assert bedrock.last.path.rpartition("/")[2] == (
        "converse-stream" if streams_tools else "converse"
    )


async def test_a_conversation(tmp_path: Path) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield PNG

    store = FsspecBlobStore(tmp_path)
    image = ImagePart(image=await store.write(parts()))
    calls = (ToolCall(id="1", name="weather", arguments='{"a": 1}'),)
    chat = asking(
        said("system", "Be brief."),
        ChatMessage(role="user", content=(TextPart(text="Look"), image)),
        ChatMessage(role="assistant", tool_calls=calls),
        said("tool", "", tool_call_id="1"),
        tools=(TOOL,),
        tool_choice={"mode": "function", "name": "weather"},
    )
    content, left_out = await written(chat, store=store)
    source = {"bytes": base64.b64encode(PNG).decode()}
    call = {"toolUseId": "1", "name": "weather", "input": {"a": 1}}
    result = {"toolUseId": "1", "content": [{"json": {}}]}
    schema = {"json": {"type": "object", "required": []}}
    tool = {"name": "weather", "description": "tells it", "inputSchema": schema}
    assert content == {
        "system": [{"text": "Be brief."}],
        "messages": [
            {
                "role": "user",
                "content": [{"text": "Look"}, {"image": {"format": "png", "source": source}}],
            },
            {"role": "assistant", "content": [{"toolUse": call}]},
            {"role": "user", "content": [{"toolResult": result}]},
        ],
        "toolConfig": {"tools": [{"toolSpec": tool}], "toolChoice": {"tool": {"name": "weather"}}},
    }
    assert left_out == []


async def test_fields() -> None:
    sampling = {"top_k": 4, "top_p": 0.5, "seed": 3}
    content, left_out = await written(
        asking(sampling=sampling, reasoning_effort="low", extra={"user": "ann", "odd": 1})
    )
    assert content["inferenceConfig"] == {"topP": 0.5}
    assert [each.partition(":")[0] for each in left_out] == [
        *("seed", "top_k", "reasoning_effort", "odd")
    ]
    content, left_out = await written(asking(reasoning_effort="low"), "openai.gpt-oss-20b-1:0")
    assert content["additionalModelRequestFields"] == {"reasoning_effort": "low"}
    assert left_out == []


async def test_formats() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}}
    wanted = {"type": "json_schema", "json_schema": schema}
    content, _ = await written(asking(response_format=wanted))
    told = content["outputConfig"]["textFormat"]
    assert told["type"] == "json_schema"
    assert '"additionalProperties": false' in told["structure"]["jsonSchema"]["schema"]
    content, left_out = await written(asking(response_format={"type": "json_object"}))
    assert "JSON" in content["system"][0]["text"]
    assert len(left_out) == 1


async def test_tools_that_are_not_to_be_called() -> None:
    forbidden: dict[str, Any] = {"tools": (TOOL,), "tool_choice": {"mode": "none"}}
    content, left_out = await written(asking(**forbidden))
    assert "toolConfig" not in content
    calls = (ToolCall(id="1", name="weather", arguments="{}"),)
    before = (said("user", "Hi"), ChatMessage(role="assistant", tool_calls=calls))
    content, left_out = await written(
        asking(*before, said("tool", "dry", tool_call_id="1"), **forbidden)
    )
    assert "toolChoice" not in content["toolConfig"]
    assert left_out == ["tool_choice: the model may call tools all the same"]


async def test_an_exception_in_a_stream(bedrock: BedrockStub) -> None:
    bedrock.mishap("error_in_stream")
    with pytest.raises(UpstreamRefused) as refused:
        await answered(form_of(bedrock), asking(), whom(bedrock))
    assert (refused.value.status, refused.value.body) == (429, b'{"message": "That is all."}')


@pytest.mark.parametrize("kind", ["truncated", "broken", "wrong_type", "no_json"])
async def test_broken_responses(bedrock: BedrockStub, kind: Any) -> None:
    bedrock.mishap(kind)
    with pytest.raises(UpstreamError):
        await answered(form_of(bedrock), asking(), whom(bedrock))


async def test_a_refusal_reaches_the_client(
    client: httpx.AsyncClient, bedrock: BedrockStub
) -> None:
    settings = {"region": REGION, "access_key": ACCESS_KEY, "access_key_secret": SECRET}
    rest = {"type": "bedrock", "api_keys": [], "settings": bedrock_settings(**settings)}
    await register(client, bedrock.base_url, name="far", **rest)
    bedrock.fails(400, message="The model is too old.")
    answer = await client.post("/v1/chat/completions", json=chat_body(f"far/{NOVA}", top_k=3))
    error = answer.json()["error"]
    assert (answer.status_code, error["provider"]) == (400, "far")
    assert "too old" in error["message"]
    good = await client.post("/v1/chat/completions", json=chat_body(f"far/{NOVA}", top_k=3))
    assert good.json()["choices"][0]["message"]["content"] == "Hello from far away."
    assert "top_k" in good.json()["warnings"][0]


async def test_what_is_left_out_is_told(bedrock: BedrockStub) -> None:
    events = await answered(form_of(bedrock), asking(sampling={"top_k": 3}), whom(bedrock))
    assert [notice.field for notice in notices_of(events)] == ["top_k"]
