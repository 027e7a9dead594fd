import json
from typing import Any

import pytest

from deployments.text.generation.tool_format import (
    HERMES,
    LLAMA,
    MISTRAL,
    calls_in,
    declaration,
    format_of,
    instructions,
)
from serve_app.core.text.chat import Tool

WEATHER = Tool(
    name="weather",
    description="Says how it is.",
    parameters={"type": "object", "properties": {"city": {"type": "string"}}},
)
CLOCK = Tool(name="clock")
TOOLS = (WEATHER, CLOCK)
ROME = ("weather", '{"city": "Rome"}')
NOON = ("clock", "{}")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{% if tools %}<tool_call>{% endif %}", HERMES),
        ("{{ messages[0].content }}", HERMES),
        ("", HERMES),
        ("{% if tools %}[AVAILABLE_TOOLS]{% endif %}[TOOL_CALLS]", MISTRAL),
        ("{% if tools %}{{ '<|python_tag|>' }}{% endif %}", LLAMA),
        ("<|python_tag|>", HERMES),
    ],
)
def test_the_template_tells_how_calls_are_written(template: str, expected: object) -> None:
    assert format_of(template) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"name": "weather", "arguments": {"city": "Rome"}}', [ROME]),
        ('\n {"name": "weather", "arguments": {"city": "Rome"}}\n', [ROME]),
        ('{"arguments": {"city": "Rome"}, "name": "weather"}', [ROME]),
        ('{"name": "weather", "arguments": "{\\"city\\": \\"Rome\\"}"}', [ROME]),
        ('{"name": "weather", "parameters": {"city": "Rome"}}', [ROME]),
        ('<|python_tag|>{"name": "weather", "parameters": {"city": "Rome"}}', [ROME]),
        ('{"name": "clock"}', [NOON]),
        ('{"name": "clock", "arguments": {}}', [NOON]),
        (
            '[{"name": "weather", "arguments": {"city": "Rome"}}, {"name": "clock"}]',
            [ROME, NOON],
        ),
        (
            '{"name": "weather", "parameters": {"city": "Rome"}}; {"name": "clock"}',
            [ROME, NOON],
        ),
        ('{"name": "clock"}\n{"name": "clock"}', [NOON, NOON]),
        (
            '{"name": "weather", "arguments": {"city": "Zürich"}}',
            [("weather", '{"city": "Zürich"}')],
        ),
    ],
)
def test_calls_are_read(text: str, expected: list[tuple[str, str]]) -> None:
    assert calls_in(text, TOOLS) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sunny",
        "[]",
        "42",
        "null",
        '{"city": "Rome"}',
        '{"name": "stranger", "arguments": {}}',
        '{"name": ["weather"], "arguments": {}}',
        '{"name": "weather", "arguments": {"city": "Ro',
        '{"name": "weather", "arguments": ["Rome"]}',
        '{"name": "weather", "arguments": "Rome"}',
        '[{"name": "clock"}, {"name": "stranger"}]',
        '{"name": "clock"} and then',
        "[" * 100_000,
    ],
)
def test_what_is_no_call_is_not_taken_for_one(text: str) -> None:
    assert calls_in(text, TOOLS) is None


def test_the_schema_of_a_call_fits_the_format() -> None:
    assert HERMES.schema((WEATHER,)) == {
        "type": "object",
        "properties": {"name": {"const": "weather"}, "arguments": WEATHER.parameters},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }
    llama: dict[str, Any] = LLAMA.schema(TOOLS)
    assert [branch["required"] for branch in llama["anyOf"]] == [["name", "parameters"]] * 2
    assert llama["anyOf"][1]["properties"]["parameters"] == {"type": "object"}


def test_only_llamas_calls_have_no_mark() -> None:
    assert [form.is_bare for form in (HERMES, MISTRAL, LLAMA)] == [False, False, True]


def test_instructions_show_every_function_and_the_form_of_a_call() -> None:
    text = instructions(TOOLS)
    for tool in TOOLS:
        assert json.dumps(declaration(tool)) in text
    assert HERMES.opening in text
    assert HERMES.closing
    assert HERMES.closing in text


def test_a_tool_without_parameters_is_declared_with_none() -> None:
    function = declaration(CLOCK)["function"]
    assert function["parameters"] == {"type": "object", "properties": {}}
    assert function["description"] == ""
