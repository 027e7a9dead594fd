"""Chats as Anthropic's API takes them, with known answers."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.errors import AppError, InvalidRequest, UnsupportedCapability
from serve_app.core.media import Blob
from serve_app.core.text.chat import AudioPart, Chat, ChatMessage, ImagePart, Sampling, ToolCall
from serve_app.upstreams.anthropic_request import messages_request
from serve_app.upstreams.claude_models import claude_model
from tests.upstreams.openai_media import PNG
from tests.upstreams.targets import asking, said

NEW, OLD = "claude-opus-5-5", "claude-haiku-4-5-20251001"
HELLO = {"role": "user", "content": [{"type": "text", "text": "Hello"}]}
STORE = FsspecBlobStore(Path("/nowhere"))


async def written(
    chat: Chat, model: str = NEW, store: Any = STORE
) -> tuple[dict[str, Any], list[str]]:
    content, left_out = await messages_request(chat, model, store)
    return content, [str(notice) for notice in left_out]


def block(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


async def test_turns_of_one_side_are_joined_and_the_system_stands_apart() -> None:
    chat = asking(
        said("system", "Be brief."),
        said("system", "Be kind."),
        said("user", "One"),
        said("user", " \n"),
        said("user", "Two"),
        said("assistant", "Three "),
    )
    content, left_out = await written(chat)
    assert content["system"] == "Be brief.\n\nBe kind."
    assert content["messages"] == [
        {"role": "user", "content": [block("One"), block("Two")]},
        {"role": "assistant", "content": [block("Three")]},
    ]
    assert left_out == []


async def test_a_late_word_of_the_system_is_told() -> None:
    content, left_out = await written(asking(said("user", "Hello"), said("system", "Stop.")))
    assert content["system"] == "Stop."
    assert content["messages"] == [HELLO]
    assert left_out == [
        "messages[1]: what the system says comes before all that others say at this provider"
    ]


async def test_a_system_alone_is_asked() -> None:
    content, _ = await written(asking(said("system", "Hello")))
    assert content["messages"] == [{"role": "user", "content": "Hello"}]
    assert "system" not in content


async def test_calls_and_their_results() -> None:
    calls = (
        ToolCall(id="call.1", name="f", arguments='{"a": 1}'),
        ToolCall(id="2", name="g", arguments=""),
        ToolCall(id="3", name="g", arguments="[1"),
    )
    chat = asking(
        said("user", "Hello"),
        ChatMessage(role="assistant", tool_calls=calls),
        said("tool", "yes", tool_call_id="call.1"),
        said("tool", "", tool_call_id="2"),
        said("user", "Well?"),
    )
    content, _ = await written(chat)
    _, asked, results = content["messages"]
    assert asked["content"] == [
        {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "2", "name": "g", "input": {}},
        {"type": "tool_use", "id": "3", "name": "g", "input": {"arguments": "[1"}},
    ]
    assert results["content"] == [
        {"type": "tool_result", "tool_use_id": "call_1", "content": [block("yes")]},
        {"type": "tool_result", "tool_use_id": "2"},
        block("Well?"),
    ]


async def test_images(tmp_path: Path) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield PNG

    store = FsspecBlobStore(tmp_path)
    image = await store.write(parts())
    message = ChatMessage(role="user", content=(ImagePart(image=image),))
    content, _ = await written(asking(message), store=store)
    data = base64.b64encode(PNG).decode()
    source = {"type": "base64", "media_type": "image/png", "data": data}
    assert content["messages"][0]["content"] == [{"type": "image", "source": source}]


TOOL = {"name": "f", "description": "does it", "parameters": {"properties": {"a": {}}}}
WRITTEN = {
    "name": "f",
    "description": "does it",
    "input_schema": {"type": "object", "properties": {"a": {}}},
}
CHOICES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "auto": ({}, {"type": "auto"}),
    "none": ({"tool_choice": {"mode": "none"}, "parallel_tool_calls": False}, {"type": "none"}),
    "any": (
        {"tool_choice": {"mode": "required"}, "parallel_tool_calls": False},
        {"type": "any", "disable_parallel_tool_use": True},
    ),
    "one": (
        {"tool_choice": {"mode": "function", "name": "f"}},
        {"type": "tool", "name": "f"},
    ),
}


@pytest.mark.parametrize("name", CHOICES)
async def test_tools(name: str) -> None:
    fields, choice = CHOICES[name]
    content, left_out = await written(asking(tools=(TOOL,), **fields))
    assert content["tools"] == [WRITTEN]
    assert content["tool_choice"] == choice
    assert left_out == []


async def test_tools_that_are_held_to_their_schema() -> None:
    content, _ = await written(asking(tools=({"name": "f", "strict": True},)))
    closed = {"type": "object", "properties": {}, "additionalProperties": False}
    assert content["tools"] == [{"name": "f", "strict": True, "input_schema": closed}]


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "maxLength": {"type": "string", "maxLength": 3},
        "list": {"type": "array", "items": {"type": "object", "properties": {}}, "minItems": 1},
        "kind": {"enum": [{"type": "object"}, "minimum"]},
    },
    "required": ["list"],
}
CLOSED = {
    "type": "object",
    "properties": {
        "maxLength": {"type": "string"},
        "list": {
            "type": "array",
            "items": {"type": "object", "properties": {}, "additionalProperties": False},
            "minItems": 1,
        },
        "kind": {"enum": [{"type": "object"}, "minimum"]},
    },
    "required": ["list"],
    "additionalProperties": False,
}


async def test_a_schema_is_enforced() -> None:
    wanted: dict[str, Any] = {"type": "json_schema", "json_schema": SCHEMA}
    content, left_out = await written(asking(response_format=wanted))
    assert content["output_config"] == {"format": {"type": "json_schema", "schema": CLOSED}}
    assert left_out == ["response_format: 'maxLength' of the schema is not enforced"]
    with pytest.raises(InvalidRequest, match="does not hold answers to 'maxLength'"):
        await written(asking(response_format=wanted | {"strict": True}))


async def test_json_without_a_schema_is_told_to_the_model() -> None:
    content, left_out = await written(asking(response_format={"type": "json_object"}))
    assert content["system"] == "Answer with one JSON object and with nothing else."
    assert "output_config" not in content
    assert [each.partition(":")[0] for each in left_out] == ["response_format"]


THOUGHTS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "not asked for": (NEW, {}, {}),
    "none": (NEW, {"reasoning_effort": "none"}, {}),
    "adaptive": (
        NEW,
        {"reasoning_effort": "low"},
        {
            "thinking": {"type": "adaptive", "display": "summarized"},
            "output_config": {"effort": "low"},
        },
    ),
    "more than others have": (
        NEW,
        {"reasoning_effort": "high", "extra": {"reasoning_effort": "max"}},
        {
            "thinking": {"type": "adaptive", "display": "summarized"},
            "output_config": {"effort": "max"},
        },
    ),
    "as it likes": (
        NEW,
        {"thinking": True},
        {"thinking": {"type": "adaptive", "display": "summarized"}},
    ),
    "a budget": (
        OLD,
        {"reasoning_effort": "high"},
        {"thinking": {"type": "enabled", "budget_tokens": 16_000}},
    ),
    "half of all tokens": (
        OLD,
        {"thinking": True, "sampling": {"max_tokens": 3000}},
        {"thinking": {"type": "enabled", "budget_tokens": 1500}},
    ),
}


@pytest.mark.parametrize("name", THOUGHTS)
async def test_thinking(name: str) -> None:
    model, fields, expected = THOUGHTS[name]
    content, left_out = await written(asking(**fields), model)
    given = {
        name: value for name, value in content.items() if name in ("thinking", "output_config")
    }
    assert given == expected
    assert left_out == []


NO_THOUGHTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "a forced call": (
        NEW,
        {"tools": (TOOL,), "tool_choice": {"mode": "required"}},
        "before a call",
    ),
    "few tokens": (OLD, {"sampling": {"max_tokens": 2000}}, "needs a 'max_tokens' of 2048"),
}


@pytest.mark.parametrize("name", NO_THOUGHTS)
async def test_thinking_that_cannot_be(name: str) -> None:
    model, fields, problem = NO_THOUGHTS[name]
    content, left_out = await written(asking(reasoning_effort="medium", **fields), model)
    assert "thinking" not in content
    assert len(left_out) == 1
    assert left_out[0].startswith("reasoning_effort: ")
    assert problem in left_out[0]


@pytest.mark.parametrize(("model", "thinks"), [(OLD, False), (NEW, True)])
async def test_thinking_goes_on_after_calls_in_later_models(model: str, thinks: bool) -> None:
    call = ToolCall(id="1", name="f", arguments="{}")
    chat = asking(
        said("user", "Hello"),
        ChatMessage(role="assistant", tool_calls=(call,)),
        said("tool", "yes", tool_call_id="1"),
        tools=(TOOL,),
        reasoning_effort="low",
    )
    content, left_out = await written(chat, model)
    assert ("thinking" in content, left_out == []) == (thinks, thinks)


SAMPLINGS: dict[str, tuple[str, dict[str, Any], dict[str, Any], list[str]]] = {
    "nothing": (OLD, {}, {}, []),
    "of older models": (
        OLD,
        {"temperature": 0.7, "top_k": 5},
        {"temperature": 0.7, "top_k": 5},
        [],
    ),
    "too hot": (
        OLD,
        {"temperature": 1.5},
        {"temperature": 1.0},
        ["temperature: the provider's highest temperature is 1, which is taken"],
    ),
    "two at once": (
        OLD,
        {"temperature": 0.0, "top_p": 0.5},
        {"temperature": 0.0},
        ["top_p: has no effect beside a temperature at this provider"],
    ),
    "of later models": (NEW, {"top_p": 0.5}, {}, ["top_p: the model chooses it itself"]),
    "of nobody": (
        OLD,
        {"seed": 1, "presence_penalty": 0.0, "logit_bias": {5: 1.0}},
        {},
        ["logit_bias: the provider has no such field", "seed: the provider has no such field"],
    ),
    "stop texts": (
        OLD,
        {"stop": ("END", "\n")},
        {"stop_sequences": ["END"]},
        ["stop: white space alone ends no answer here"],
    ),
}


@pytest.mark.parametrize("name", SAMPLINGS)
async def test_sampling(name: str) -> None:
    model, fields, expected, told = SAMPLINGS[name]
    content, left_out = await written(asking(sampling=fields), model)
    assert content == {"max_tokens": 32_000, "messages": [HELLO]} | expected
    assert left_out == told


async def test_other_fields() -> None:
    cached = {"cache_control": {"type": "ephemeral"}}
    extra = {"user": "u1", "store": True, "plugins": [], **cached}
    content, left_out = await written(asking(extra=extra))
    expected = {"max_tokens": 32_000, "messages": [HELLO], "metadata": {"user_id": "u1"}}
    assert content == expected | cached
    assert left_out == [
        "plugins: the provider has no such field",
        "store: the provider has no such field",
    ]


async def test_of_a_stored_chat_it_is_known_what_was_set() -> None:
    given = {"max_tokens": 5, "temperature": 0.7}
    stored = Chat.model_validate(asking(sampling=given).model_dump())
    assert await written(stored, OLD) == (given | {"messages": [HELLO]}, [])


async def test_of_what_earlier_versions_have_stored_all_looks_as_if_it_were_set() -> None:
    every = {name: getattr(Sampling(), name) for name in Sampling.model_fields}
    stored = asking(sampling=every | {"max_tokens": 5})
    assert await written(stored, OLD) == ({"max_tokens": 5, "messages": [HELLO]}, [])


AUDIO = AudioPart(audio=Blob(sha256="0" * 64, mime="audio/wav", size=1))
TIFF = ImagePart(image=Blob(sha256="0" * 64, mime="image/tiff", size=1))
REFUSED: dict[str, tuple[Chat, type[AppError], str]] = {
    "audio": (
        asking(ChatMessage(role="user", content=(AUDIO,))),
        UnsupportedCapability,
        "messages[0].content[0]",
    ),
    "other images": (
        asking(ChatMessage(role="user", content=(TIFF,))),
        InvalidRequest,
        "messages[0].content[0]",
    ),
    "choices": (asking(sampling={"n": 2}), UnsupportedCapability, "n"),
    "log probabilities": (asking(sampling={"logprobs": 0}), UnsupportedCapability, "logprobs"),
    "grammars": (
        asking(response_format={"type": "grammar", "grammar": "root ::= [a-z]"}),
        UnsupportedCapability,
        "response_format",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_cannot_be_asked(name: str) -> None:
    chat, kind, field = REFUSED[name]
    with pytest.raises(kind) as refused:
        await written(chat)
    assert refused.value.param == field


VERSIONS = {
    "claude-3-haiku-20240307": (3, 0),
    "claude-3-5-sonnet-20241022": (3, 5),
    "claude-sonnet-4-20250514": (4, 0),
    "claude-opus-4-1-20250805": (4, 1),
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0": (4, 5),
    "anthropic/claude-opus-4.6": (4, 6),
    "claude-opus-4-7": (4, 7),
    "Claude-Fable-5": (5, 0),
    "claude-mythos-preview": (99, 0),
    "arn:aws:bedrock:eu-central-1:1:application-inference-profile/x": (99, 0),
}


@pytest.mark.parametrize("model", VERSIONS)
def test_versions(model: str) -> None:
    assert claude_model(model).version == VERSIONS[model]
