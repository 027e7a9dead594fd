"""POST /v1/chat/completions, whole answers."""

import base64
import re
import time
from typing import Any

import httpx
import pytest

from tests.api.conftest import MakeContext, client_of

URL = "/v1/chat/completions"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
PNG_URL = "data:image/png;base64," + base64.b64encode(PNG).decode()
WEATHER = {
    "name": "get_weather",
    "description": "Say the weather.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "minLength": 2}},
        "required": ["city"],
    },
}
TOOLS = [{"type": "function", "function": WEATHER}]
WEATHER_CALL = {
    "id": f"call_{0:024x}",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"city": "xx"}'},
}


def said(text: str, **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]} | fields


async def ask(client: httpx.AsyncClient, text: str = "one two three", **fields: Any) -> Any:
    answer = await client.post(URL, json=said(text, **fields))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def spoken(client: httpx.AsyncClient, text: str = "one two three", **fields: Any) -> str:
    content = (await ask(client, text, **fields))["choices"][0]["message"]["content"]
    assert isinstance(content, str)
    return content


@pytest.mark.covers("CoderAI: POST /v1/chat/completions")
async def test_the_whole_answer(client: httpx.AsyncClient) -> None:
    answer = await client.post(URL, json=said("héllo wörld", model="echo"))
    body = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert re.fullmatch(r"chatcmpl-[0-9a-f]{24}", body.pop("id"))
    assert abs(body.pop("created") - time.time()) < 60
    assert body == {
        "object": "chat.completion",
        "model": "echo",
        "system_fingerprint": "fake-1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "héllo wörld", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4},
    }
    assert "x-ignored-fields" not in answer.headers
    assert "héllo" in answer.text


@pytest.mark.parametrize("name", [None, "", "auto", "AUTO", "echo", "ECHO", "Parrot", "parrot"])
@pytest.mark.covers("aistack: POST /v1/chat/completions")
async def test_ids_aliases_and_the_default(client: httpx.AsyncClient, name: str | None) -> None:
    assert (await ask(client, model=name))["model"] == "echo"


async def test_the_configured_default(make_context: MakeContext) -> None:
    async with client_of(make_context(defaults={"chat": "org/eye"})) as client:
        assert (await ask(client))["model"] == "org/eye"


async def test_nulls_are_defaults(client: httpx.AsyncClient) -> None:
    names = (
        "temperature top_p top_k min_p n max_tokens max_completion_tokens stream stream_options "
        "stop presence_penalty frequency_penalty repeat_penalty seed logprobs top_logprobs "
        "logit_bias tools tool_choice functions function_call parallel_tool_calls response_format "
        "enable_thinking reasoning_effort keep_alive user metadata store service_tier refId"
    )
    assert await spoken(client, **dict.fromkeys(names.split())) == "one two three"


async def test_several_choices_and_seeds(client: httpx.AsyncClient) -> None:
    body = await ask(client, n=3, seed=4)
    texts = [choice["message"]["content"] for choice in body["choices"]]
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert texts == ["two three one", "three one two", "one two three"]
    assert await spoken(client, seed=4) == await spoken(client, seed=4) == "two three one"


@pytest.mark.parametrize(
    ("fields", "content", "reason"),
    [
        ({"max_tokens": 2}, "one two", "length"),
        ({"max_tokens": 1, "max_completion_tokens": 2}, "one two", "length"),
        ({"max_tokens": 3}, "one two three", "stop"),
        ({"stop": " three"}, "one two", "stop"),
        ({"stop": ["nothing", "two"]}, "one", "stop"),
    ],
)
async def test_where_an_answer_ends(
    client: httpx.AsyncClient, fields: dict[str, Any], content: str, reason: str
) -> None:
    choice = (await ask(client, **fields))["choices"][0]
    assert choice["message"]["content"] == content
    assert choice["finish_reason"] == reason


async def test_log_probabilities(client: httpx.AsyncClient) -> None:
    body = await ask(client, "one", logprobs=True, top_logprobs=2)
    entry = {"token": "one", "logprob": -0.5, "bytes": [111, 110, 101]}
    other = {"token": "other0", "logprob": -2.0, "bytes": list(b"other0")}
    top = entry | {"top_logprobs": [entry, other]}
    assert body["choices"][0]["logprobs"] == {"content": [top], "refusal": None}
    body = await ask(client, "one", logprobs=True)
    assert body["choices"][0]["logprobs"]["content"] == [entry | {"top_logprobs": []}]


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": TOOLS, "tool_choice": "required"},
        {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "get_weather"}}},
        {"functions": [WEATHER], "function_call": {"name": "get_weather"}},
        {"tools": TOOLS, "toolChoice": "required"},
    ],
)
@pytest.mark.covers("CoderAI: chat: tools and tool_choice")
async def test_a_forced_tool_is_called(client: httpx.AsyncClient, fields: dict[str, Any]) -> None:
    choice = (await ask(client, **fields))["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [WEATHER_CALL],
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": TOOLS},
        {"tools": TOOLS, "tool_choice": "auto"},
        {"functions": [WEATHER]},
        {"functions": [WEATHER], "function_call": "auto"},
    ],
)
@pytest.mark.covers("CoderAI: chat: tools and tool_choice")
async def test_auto_lets_the_model_choose(
    client: httpx.AsyncClient, fields: dict[str, Any]
) -> None:
    choice = (await ask(client, "please get_weather now", **fields))["choices"][0]
    assert choice["message"]["tool_calls"] == [WEATHER_CALL]
    assert await spoken(client, "hello", **fields) == "hello"


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": TOOLS, "tool_choice": "none"},
        {"functions": [WEATHER], "function_call": "none"},
        {"tool_choice": "none"},
        {"tools": []},
    ],
)
async def test_none_calls_nothing(client: httpx.AsyncClient, fields: dict[str, Any]) -> None:
    assert await spoken(client, "get_weather", **fields) == "get_weather"


async def test_a_conversation_with_tool_calls_goes_on(client: httpx.AsyncClient) -> None:
    for calls, name in (("tool_calls", "tool_call_id"), ("toolCalls", "toolCallId")):
        messages = [
            {"role": "developer", "content": "be kind"},
            {"role": "user", "content": "weather?", "name": "ann", "cache_control": {"a": 1}},
            {"role": "assistant", "content": None, calls: [WEATHER_CALL]},
            {"role": "tool", name: WEATHER_CALL["id"], "content": "it is sunny"},
        ]
        answer = await client.post(URL, json={"messages": messages})
        assert answer.json()["choices"][0]["message"]["content"] == "it is sunny"


@pytest.mark.parametrize(
    "form",
    [
        {"response_format": {"type": "json_object"}},
        {"response_format": "json_object"},
        {"response_format": {"response_format": "json_object"}},
        {"responseFormat": {"type": "json_object"}},
    ],
)
async def test_json_objects(client: httpx.AsyncClient, form: dict[str, Any]) -> None:
    assert await spoken(client, "hi", **form) == '{"echo": "hi"}'


async def test_json_by_a_schema(client: httpx.AsyncClient) -> None:
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
    named = {"name": "x", "schema": schema, "strict": True}
    form = {"type": "json_schema", "json_schema": named}
    assert await spoken(client, response_format=form) == '{"n": 0}'
    assert await spoken(client, response_format={"type": "text"}) == "one two three"


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"definitions": {"N": {"const": 5}}, "$ref": "#/definitions/N"}, "5"),
        (
            {"properties": {"a": {"const": 1}, "b": {"$ref": "#/properties/a"}}, "required": ["b"]},
            '{"b": 1}',
        ),
        ({"anyOf": [{"const": None}, {"$ref": "#"}]}, "null"),
        (
            {"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#/none"}}},
            '{"a": {}}',
        ),
        ({"$ref": "#"}, "{}"),
    ],
)
async def test_schemas_that_refer_to_themselves(
    client: httpx.AsyncClient, schema: dict[str, Any], text: str
) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert await spoken(client, response_format=form) == text


@pytest.mark.parametrize(
    "schema",
    [{"enum": 5}, {"properties": []}, {"anyOf": {"a": 1}}, {"required": 5}, {"minItems": "x"}],
)
async def test_what_is_no_schema(client: httpx.AsyncClient, schema: dict[str, Any]) -> None:
    inner = {"type": "array"} | schema if "minItems" in schema else {"required": ["a"]} | schema
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": inner}}
    answer = await client.post(URL, json=said("x", response_format=form))
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "response_format.json_schema")
    tools = [{"type": "function", "function": {"name": "f", "parameters": inner}}]
    answer = await client.post(URL, json=said("x", tools=tools, tool_choice="required"))
    assert answer.status_code == 400


async def test_a_tool_that_calls_itself_in_its_schema(client: httpx.AsyncClient) -> None:
    deep = {"type": "object", "properties": {"again": {"$ref": "#"}}, "required": ["again"]}
    tools = [{"type": "function", "function": {"name": "f", "parameters": deep}}]
    body = await ask(client, tools=tools, tool_choice="required")
    assert body["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    ("fields", "is_thinking"),
    [
        ({"enable_thinking": True}, True),
        ({"reasoning_effort": "low"}, True),
        ({"reasoning_effort": "none"}, False),
        ({"enable_thinking": False, "reasoning_effort": "high"}, False),
        ({}, False),
    ],
)
@pytest.mark.covers("CoderAI: chat: thinking")
async def test_reasoning_is_kept_apart(
    client: httpx.AsyncClient, fields: dict[str, Any], is_thinking: bool
) -> None:
    body = await ask(client, "hi", **fields)
    message = body["choices"][0]["message"]
    assert message["content"] == "hi"
    assert ("reasoning" in message) == is_thinking
    if is_thinking:
        assert message["reasoning"] == message["reasoning_content"] == "thinking about: hi"
        assert body["usage"]["completion_tokens_details"] == {"reasoning_tokens": 3}


CAMEL = [
    ("maxTokens", 1, {"max_tokens": 1}),
    ("topLogprobs", 1, {"top_logprobs": 1, "logprobs": True}),
    ("logProbs", True, {"logprobs": True}),
    ("toolChoice", "none", {"tool_choice": "none"}),
    ("responseFormat", "json_object", {"response_format": "json_object"}),
]


@pytest.mark.parametrize(("camel", "value", "snake"), CAMEL)
async def test_camel_case_means_the_same(
    client: httpx.AsyncClient, camel: str, value: Any, snake: dict[str, Any]
) -> None:
    extra = {"logprobs": True} if camel == "topLogprobs" else {}
    one, other = await ask(client, **{camel: value}, **extra), await ask(client, **snake)
    assert one["choices"] == other["choices"]


@pytest.mark.parametrize(
    ("camel", "snake", "bad"),
    [
        ("topP", "top_p", 2),
        ("frequencyPenalty", "frequency_penalty", 3),
        ("presencePenalty", "presence_penalty", 3),
        ("logitBias", "logit_bias", {"1": 101}),
        ("repetition_penalty", "repeat_penalty", 0),
    ],
)
async def test_other_spellings_are_checked_like_their_twins(
    client: httpx.AsyncClient, camel: str, snake: str, bad: Any
) -> None:
    for name in (camel, snake):
        answer = await client.post(URL, json=said("x", **{name: bad}))
        assert answer.status_code == 400
        assert answer.json()["error"]["param"].partition(".")[0] == name
        assert answer.json()["error"]["param"] in (name, f"{name}.1")


@pytest.mark.covers("aistack: unknown and additional fields are accepted")
async def test_fields_without_effect_are_named(client: httpx.AsyncClient) -> None:
    fields = {"user": "u", "metadata": {}, "store": True, "service_tier": "auto"}
    fields |= {"keep_alive": "5m", "provider": "p", "no_such_field": 1, "n": 1}
    answer = await client.post(URL, json=said("x", **fields))
    ignored = answer.headers["x-ignored-fields"].split(",")
    assert sorted(ignored) == sorted({*fields} - {"n"})
    answer = await client.post(URL, json=said("x", stream=True, top_a=1))
    assert answer.headers["x-ignored-fields"] == "top_a"


async def test_a_hostile_field_name_stays_out_of_the_headers(client: httpx.AsyncClient) -> None:
    answer = await client.post(URL, json=said("x", **{"a\r\nSet-Cookie: b": 1, "ü": 1, "c": 1}))
    assert answer.status_code == 200
    assert answer.headers["x-ignored-fields"] == "c"
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "message",
    [
        {"content": [{"type": "image_url", "image_url": {"url": PNG_URL, "detail": "low"}}]},
        {"content": [{"type": "image_url", "image_url": PNG_URL}]},
        {"content": None, "images": [PNG_URL]},
        {"content": None, "images": [base64.b64encode(PNG).decode()]},
    ],
)
async def test_images_reach_a_model_that_sees(
    client: httpx.AsyncClient, message: dict[str, Any]
) -> None:
    body = {"model": "org/eye", "messages": [{"role": "user"} | message]}
    answer = await client.post(URL, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "[image/png 28]"


async def test_an_uploaded_image_is_taken_by_its_names(client: httpx.AsyncClient) -> None:
    stored = (await client.post("/v1/files/upload", content=PNG)).json()
    for url in (stored["id"], stored["url"]):
        content = [
            {"type": "text", "text": "what is"},
            {"type": "image_url", "image_url": {"url": url}},
        ]
        body = {"model": "org/eye", "messages": [{"role": "user", "content": content}]}
        answer = await client.post(URL, json=body)
        reply = answer.json()["choices"][0]["message"]["content"]
        assert reply == "what is [image/png 28]"


@pytest.mark.parametrize(
    ("part", "where"),
    [
        ({"type": "image_url", "image_url": {"url": PNG_URL}}, "messages[0].content[0].image_url"),
        (
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
            "messages[0].content[0].input_audio",
        ),
    ],
)
async def test_a_model_that_only_reads_says_who_sees(
    client: httpx.AsyncClient, part: dict[str, Any], where: str
) -> None:
    answer = await client.post(
        URL, json={"model": "echo", "messages": [{"role": "user", "content": [part]}]}
    )
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_capability", where)
    assert ("'org/eye'" in error["message"]) == (part["type"] == "image_url")


async def test_a_prompt_longer_than_the_context(client: httpx.AsyncClient) -> None:
    answer = await client.post(URL, json=said("word " * 5000))
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert (error["code"], error["kind"]) == ("context_length_exceeded", "overflow")


async def test_the_old_function_messages_are_understood(make_context: MakeContext) -> None:
    """An assistant's `function_call` is a tool call, and a `function` message its result."""
    seen: list[Any] = []

    class Listening:
        async def chat(self, request: Any) -> Any:
            seen.append(request)
            return
            yield

    context = make_context(runs={"chat": Listening()})
    messages = [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": None, "function_call": WEATHER_CALL["function"]},
        {"role": "function", "name": "get_weather", "content": "sunny"},
    ]
    async with client_of(context) as client:
        await client.post(URL, json={"messages": messages})
    assistant, result = seen[0].messages[1:]
    assert assistant.tool_calls[0].name == "get_weather"
    assert assistant.tool_calls[0].arguments == '{"city": "xx"}'
    assert (result.role, result.tool_call_id) == ("tool", assistant.tool_calls[0].id)


@pytest.mark.parametrize(
    ("sent", "ignored"),
    [
        ({"priority": 5}, "priority"),
        ({"priority": 5, "async": True}, None),
        ({"stream": True, "priority": 5}, "priority"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"include_usage": True}}, None),
        (
            {"stream": True, "stream_options": {"include_queue": True}},
            "stream_options.include_queue",
        ),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens"),
        ({"max_tokens": 5}, None),
        (
            {
                "tools": [{"type": "function", "function": {"name": "f"}}],
                "functions": [{"name": "g"}],
                "tool_choice": "auto",
                "function_call": "none",
            },
            "functions,function_call",
        ),
        ({"functions": [{"name": "g"}], "function_call": "none"}, None),
    ],
)
async def test_what_has_no_effect_beside_the_rest_is_named(
    client: httpx.AsyncClient, sent: dict[str, Any], ignored: str | None
) -> None:
    body = {"messages": [{"role": "user", "content": "hi"}]} | sent
    answer = await client.post("/v1/chat/completions", json=body)
    assert answer.status_code in (200, 202), answer.text
    assert answer.headers.get("x-ignored-fields") == ignored
