"""JSON schemas as clients send them, through the API and the official client, to a real grammar."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionToolParam
from pydantic import BaseModel, Field, SecretStr

from deployments.text.enforced_schema import SchemaCheck
from deployments.text.starter import ensure_starter
from deployments.text.transformers_chat import TransformersChat
from serve_app.core.errors import InvalidRequest
from tests.api import conftest as api
from tests.engine.tiny_chat import engine_of
from tests.notices import texts_of

make_context = api.make_context
URL = "/v1/chat/completions"
SAID: Any = [{"role": "user", "content": "Say something."}]
TEXT = {"type": "string", "maxLength": 4}
WHERE = "response_format.json_schema"


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: Annotated[int, Field(ge=1, le=9)]


class Dog(BaseModel):
    kind: Literal["dog"]
    colour: Colour


class Tree(BaseModel):
    value: Annotated[int, Field(ge=0, le=9)]
    left: "Tree | None" = None


Word = Annotated[str, Field(max_length=4)]
Secret = Annotated[SecretStr, Field(max_length=4)]
Pet = Annotated[Cat | Dog, Field(discriminator="kind")]
PLAIN: dict[str, Any] = {
    "datetime": datetime,
    "uuid": UUID,
    "nested": Cat,
    "optional": Cat | None,
    "literal": Literal["a", 1, None],
    "mapping": Annotated[dict[str, Word], Field(max_length=1)],
    "mapping by names": dict[Colour, Word] | dict[Literal["a"], Word],
    "union": Pet,
    "list": Annotated[list[Pet], Field(max_length=2)],
    "recursive": Tree,
}
LEFT_OUT: dict[str, tuple[Any, str]] = {
    "set": (Annotated[set[Colour], Field(max_length=2)], "'uniqueItems' is not enforced"),
    "path": (Path, "'format' is not enforced for 'path'"),
    "secret": (
        Annotated[SecretStr, Field(max_length=4)],
        "'format' is not enforced for 'password'",
    ),
    "bytes": (Annotated[bytes, Field(max_length=4)], "'format' is not enforced for 'binary'"),
}


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TransformersChat]:
    engine = engine_of(ensure_starter(tmp_path_factory.mktemp("data") / "starter"))
    yield engine
    asyncio.run(engine.close())


@pytest.fixture
async def client(
    make_context: api.MakeContext, starter: TransformersChat
) -> AsyncIterator[httpx.AsyncClient]:
    async with api.client_of(make_context(runs={"chat": starter})) as client:
        yield client


@pytest.fixture
def sdk(client: httpx.AsyncClient) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        base_url="http://127.0.0.1:8000/v1", api_key="x", http_client=client, max_retries=0
    )


def answer_of(kind: Any) -> type[BaseModel]:
    return type("Answer", (BaseModel,), {"__annotations__": {"value": kind}})


async def parsed(sdk: openai.AsyncOpenAI, kind: Any) -> Any:
    answer = await sdk.chat.completions.parse(
        model="echo",
        messages=SAID,
        response_format=answer_of(kind),
        max_tokens=400,
        temperature=1,
        seed=1,
    )
    assert answer.choices[0].message.parsed is not None
    return answer


@pytest.mark.parametrize("name", PLAIN)
async def test_models_of_the_official_client(sdk: openai.AsyncOpenAI, name: str) -> None:
    answer = await parsed(sdk, PLAIN[name])
    assert answer.model_extra.get("warnings") is None


@pytest.mark.parametrize("name", LEFT_OUT)
async def test_models_with_what_no_grammar_has(sdk: openai.AsyncOpenAI, name: str) -> None:
    """The client always asks for `strict`, and its users never see the schema."""
    kind, warning = LEFT_OUT[name]
    answer = await parsed(sdk, kind)
    assert answer.model_extra["warnings"] == [f"{WHERE}: {warning}"]


def function(name: str, parameters: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters} | more}


NESTED: dict[str, dict[str, Any]] = {
    "pydantic": {
        "$defs": {"Item": {"enum": ["a", "b"]}},
        "type": "object",
        "properties": {"value": {"$ref": "#/$defs/Item"}},
        "required": ["value"],
    },
    "the same name for another thing": {
        "$defs": {"Item": {"enum": ["c", "d"]}},
        "properties": {"value": {"$ref": "#/$defs/Item"}},
        "required": ["value"],
        "additionalProperties": False,
    },
    "definitions": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "definitions": {"Item": {"enum": ["e", "f"]}},
        "type": "object",
        "properties": {"value": {"$ref": "#/definitions/Item"}},
        "required": ["value"],
    },
    "elsewhere": {
        "type": "object",
        "properties": {"value": {"enum": ["g"]}, "other": {"$ref": "#/properties/value"}},
        "required": ["value", "other"],
    },
    "recursive": {
        "type": "object",
        "properties": {
            "value": {"enum": ["h"]},
            "next": {"anyOf": [{"type": "null"}, {"$ref": "#"}]},
        },
        "required": ["value", "next"],
        "additionalProperties": False,
    },
    "a reference itself": {
        "$defs": {
            "Args": {
                "type": "object",
                "properties": {"value": {"enum": ["i"]}},
                "required": ["value"],
            }
        },
        "$ref": "#/$defs/Args",
    },
}
VALUES = ("ab", "cd", "ef", "g", "h", "i")


@pytest.mark.parametrize("number", range(len(NESTED)))
@pytest.mark.parametrize("is_named", [True, False])
async def test_tools_whose_schemas_refer_to_themselves(
    client: httpx.AsyncClient, number: int, is_named: bool
) -> None:
    schemas = list(NESTED.values())
    tools = [function(f"f{i}", schema) for i, schema in enumerate(schemas)]
    choice = {"type": "function", "function": {"name": f"f{number}"}} if is_named else "required"
    if not is_named:
        tools = [tools[number], tools[number - 1]]
    body = {"messages": SAID, "tools": tools, "tool_choice": choice, "max_tokens": 300}
    answer = await client.post(URL, json=body | {"temperature": 0, "model": "echo"})
    assert answer.status_code == 200, answer.text
    (call,) = answer.json()["choices"][0]["message"]["tool_calls"]
    called = int(call["function"]["name"][1:])
    assert called in ((number,) if is_named else (number, (number - 1) % len(schemas)))
    assert json.loads(call["function"]["arguments"])["value"] in VALUES[called]
    assert "warnings" not in answer.json()


ASSERTED: dict[str, dict[str, Any]] = {
    "not": {"type": "string", "maxLength": 2, "not": {"const": "x"}},
    "if": {"enum": ["a"], "if": {"const": "a"}, "then": {"const": "a"}},
    "propertyNames": {"type": "object", "maxProperties": 0, "propertyNames": {"pattern": "^a"}},
    "contains": {"type": "array", "items": {"const": 1}, "maxItems": 2, "contains": {"const": 1}},
    "dependentSchemas": {"type": "object", "maxProperties": 0, "dependentSchemas": {"a": {}}},
    "dependentRequired": {"type": "object", "maxProperties": 0, "dependentRequired": {"a": ["b"]}},
    "oneOf": {"oneOf": [{"enum": ["a", "b"]}, {"enum": ["b", "c"]}]},
    "pattern": {"type": "string", "maxLength": 3, "pattern": "^(?=a)"},
    "patternProperties": {
        "type": "object",
        "maxProperties": 1,
        "patternProperties": {"^a": {"const": 1}, "^ab": {"const": 1}},
        "additionalProperties": False,
    },
    "maxItems": {"type": "array", "items": {"const": 1}, "maxItems": 100_000},
    "minProperties": {
        "type": "object",
        "properties": {"a": {"const": 1}, "b": {"const": 2}},
        "additionalProperties": False,
        "minProperties": 2,
    },
}


def asked(schema: dict[str, Any], *, strict: bool | None, forced: bool) -> dict[str, Any]:
    outer = {
        "type": "object",
        "properties": {"value": schema},
        "required": ["value"],
        "additionalProperties": False,
    }
    body = {"messages": SAID, "model": "echo", "max_tokens": 300, "temperature": 0}
    if forced:
        tools = [function("good", None), function("odd", outer, strict=strict)]
        return body | {"tools": tools, "tool_choice": "required"}
    form = {"name": "x", "schema": outer, "strict": strict}
    return body | {"response_format": {"type": "json_schema", "json_schema": form}}


@pytest.mark.parametrize("forced", [True, False], ids=["tools", "response_format"])
@pytest.mark.parametrize("word", ASSERTED)
async def test_rules_that_no_grammar_has(
    client: httpx.AsyncClient, word: str, forced: bool
) -> None:
    """They are left out with a warning, or refused by name where `strict` asks for them."""
    where = "tools[1].function.parameters" if forced else WHERE
    for strict in (False, None):
        answer = await client.post(URL, json=asked(ASSERTED[word], strict=strict, forced=forced))
        assert answer.status_code == 200, answer.text
        warnings = answer.json()["warnings"]
        assert warnings
        assert all(text.startswith(f"{where}: ") for text in warnings)
        message = answer.json()["choices"][0]["message"]
        text = message["content"] or message["tool_calls"][0]["function"]["arguments"]
        assert isinstance(json.loads(text), dict)
    answer = await client.post(URL, json=asked(ASSERTED[word], strict=True, forced=forced))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "invalid_request", where)
    assert repr(word) in error["message"]
    assert ("of the tool 'odd'" in error["message"]) == forced


async def test_a_stream_has_the_warnings_in_its_last_chunk(client: httpx.AsyncClient) -> None:
    body = asked({"type": "string", "format": "path", "maxLength": 3}, strict=True, forced=False)
    answer = await client.post(URL, json=body | {"stream": True})
    *chunks, done = (line.removeprefix("data: ") for line in answer.text.split("\n\n") if line)
    assert done == "[DONE]"
    *before, last = map(json.loads, chunks)
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["warnings"] == [f"{WHERE}: 'format' is not enforced for 'path'"]
    assert not any("warnings" in chunk for chunk in before)


async def test_a_job_has_the_warnings_in_its_result(client: httpx.AsyncClient) -> None:
    body = asked({"type": "string", "format": "path", "maxLength": 3}, strict=True, forced=False)
    answer = await client.post(URL, json=body | {"ref_id": "mine"})
    assert answer.json()["warnings"] == [f"{WHERE}: 'format' is not enforced for 'path'"]


def test_rules_that_are_not_said_need_no_warning() -> None:
    apart: Any = [
        {"type": "object", "properties": {"k": {"const": n}}, "required": ["k"]} for n in (1, 2)
    ]
    for schema in (
        {"type": "array", "uniqueItems": False},
        {"oneOf": apart},
        {"$defs": {"A": apart[0], "B": apart[1]}, "oneOf": [{"$ref": "#/$defs/A"}, apart[1]]},
        {"properties": {"not": TEXT, "format": TEXT}, "$defs": {"unused": {"not": {}}}},
        {"const": {"format": "path", "not": 1}},
    ):
        check = SchemaCheck("x", "the schema", strict=True)
        check.enforced(schema)
        assert check.warnings == []


def test_only_what_cannot_be_read_is_left_out() -> None:
    schema = {
        "$schema": "https://a.example/dialect",
        "properties": {
            "a": {"type": "string", "pattern": "^a+$"},
            "b": {"type": "string", "pattern": "^(?!a)"},
            "c": {"type": "string", "format": "date"},
            "d": {"type": "string", "format": "path"},
            "e": {"type": "array", "uniqueItems": True, "items": {"format": "path", "not": {}}},
        },
    }
    check = SchemaCheck("x", "the schema", strict=False)
    assert check.enforced(schema)["properties"] == {
        "a": {"type": "string", "pattern": "^a+$"},
        "b": {"type": "string"},
        "c": {"type": "string", "format": "date"},
        "d": {"type": "string"},
        "e": {"type": "array", "items": {}},
    }
    assert sorted(texts_of(check.warnings)) == [
        "x: 'format' is not enforced for 'path'",
        "x: 'not' is not enforced",
        "x: 'uniqueItems' is not enforced",
        "x: patterns that look around or back are not enforced",
        "x: the dialect 'https://a.example/dialect' is not known",
    ]


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    "schema",
    [
        {"type": "strin"},
        {"$ref": "#/nothing"},
        {"$ref": "https://a.example/schema.json"},
        {"enum": []},
        {"type": "string", "pattern": "(["},
        {"properties": []},
    ],
)
def test_what_is_no_schema_is_refused(schema: dict[str, Any], strict: bool) -> None:
    with pytest.raises(InvalidRequest, match="cannot be followed") as caught:
        SchemaCheck("x", "the schema", strict=strict).enforced(schema)
    assert caught.value.param == "x"


async def test_a_large_schema_holds_nobody_up(client: httpx.AsyncClient) -> None:
    """It takes about a second, in which everything else goes on."""
    values = [f"value {i}" for i in range(50)]
    named = {f"{i}": {"enum": [f"{i} {value}" for value in values]} for i in range(5000)}
    body = asked({"type": "object", "properties": named}, strict=False, forced=False)
    answering = asyncio.create_task(client.post(URL, json=body))
    turns = 0
    while not answering.done():
        await asyncio.sleep(0.02)
        turns += 1
    assert answering.result().status_code == 400
    assert "cannot be followed" in answering.result().json()["error"]["message"]
    assert turns > 10


class Named(BaseModel):
    places: Annotated[set[Colour], Field(max_length=2)]
    pet: Pet


async def test_a_strict_tool_of_the_official_client(sdk: openai.AsyncOpenAI) -> None:
    tool: ChatCompletionToolParam = openai.pydantic_function_tool(Named)
    answer = await sdk.chat.completions.parse(
        model="echo",
        messages=SAID,
        tools=[tool],
        tool_choice="required",
        max_tokens=300,
        temperature=0,
    )
    calls = answer.choices[0].message.tool_calls
    assert calls
    assert isinstance(calls[0].function.parsed_arguments, Named)
