"""Engines and the core know no name of a field that only a dialect has."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

import serve_app.api.dialects  # noqa: F401 - what it imports declares the wire models
from serve_app.api.wire_object import WireObject
from serve_app.core.message import Message

ROOT = Path(__file__).parents[2]
PARTS = ("serve_app/core/audio", "deployments/audio")


def fields_of(kind: type[BaseModel]) -> set[str]:
    """The fields of a class and of all that inherit from it."""
    return {*kind.model_fields}.union(*(fields_of(each) for each in kind.__subclasses__()))


def texts(source: str) -> Iterator[str]:
    """What an error says: its `param`, and texts that name a field at their beginning or in
    quotation marks.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.keyword) and node.arg == "param":
            if isinstance(node.value, ast.Constant):
                yield f"'{node.value.value}'"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def wire_words() -> set[str]:
    """Fields of wire models that are no fields of the core's messages."""
    return fields_of(WireObject) - fields_of(Message)


def test_the_wire_has_words_of_its_own() -> None:
    assert {"ref_audio", "source_audio", "target_voice", "fallback_mode"} <= wire_words()


@pytest.mark.parametrize("part", PARTS)
def test_no_error_names_a_field_of_the_wire(part: str) -> None:
    words = "|".join(wire_words())
    said = re.compile(rf"^({words}): |['\"]({words})['\"]|`param` `({words})`")
    found = [
        f"{file.relative_to(ROOT)}: {text}"
        for file in sorted((ROOT / part).rglob("*.py"))
        for text in texts(file.read_text())
        if said.search(text)
    ]
    assert found == []
