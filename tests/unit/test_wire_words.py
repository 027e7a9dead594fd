"""Engines, pipelines and the core know no name of a field that only a dialect has."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

import serve_app.api.dialects  # noqa: F401 - what it imports declares the wire models
from serve_app.api.wire_object import WireObject
from serve_app.core.config import Capability
from serve_app.core.message import Message
from serve_app.core.operation import OPERATIONS
from serve_app.core.operations import core_fields

ROOT = Path(__file__).parents[2]
PARTS = ("serve_app/core", "serve_app/catalog", "serve_app/family", "deployments", "pipelines")
OTHER_APIS = {
    "deployments/text/vllm_wire.py": "OpenAI's, which vLLM speaks",
    "deployments/text/vllm_stream.py": "OpenAI's, which vLLM speaks",
    "deployments/text/llama_cpp_chat.py": "llama.cpp's own",
    "deployments/text/llama_cpp/answers.py": "llama.cpp's own",
    "deployments/text/llama_cpp/choice.py": "llama.cpp's own",
    "deployments/text/llama_cpp/fields.py": "llama.cpp's own",
}
"""Files that speak an API of somebody else's, and whose."""
FOREIGN = {
    "num_inference_steps": "an argument of the pipelines of diffusers",
    "enable_thinking": "a variable of chat templates",
    "s_churn": "an argument of the schedulers of diffusers",
    "s_tmin": "an argument of the schedulers of diffusers",
    "s_tmax": "an argument of the schedulers of diffusers",
    "s_noise": "an argument of the schedulers of diffusers",
}
"""What a field of the wire has been named after."""
BRACES = re.compile(r"\{[^{}]*\}")
"""What is put into a text."""
Found = tuple[str, str]


def fields_of(kind: type[BaseModel]) -> set[str]:
    """The fields of a class and of all that inherit from it."""
    return {*kind.model_fields}.union(*(fields_of(each) for each in kind.__subclasses__()))


def wire_words() -> set[str]:
    """Fields of wire models that are no fields of the core's messages."""
    return fields_of(WireObject) - fields_of(Message)


def names() -> set[str]:
    """Those that are no everyday words, and nothing that the core calls so itself."""
    verbs = {operation.verb for operation in OPERATIONS.values() if hasattr(operation, "verb")}
    own = {*get_args(Capability), *verbs, *FOREIGN}
    return {word for word in wire_words() if "_" in word} - own


@cache
def files() -> list[tuple[str, ast.Module]]:
    """Every module of the parts."""
    found = [file for part in PARTS for file in sorted((ROOT / part).rglob("*.py"))]
    named = [(str(file.relative_to(ROOT)), file) for file in found]
    return [(path, ast.parse(file.read_text())) for path, file in named if path not in OTHER_APIS]


def texts() -> Iterator[Found]:
    """Every text, also a part of one that is put together, in the file where it is."""
    for path, tree in files():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield path, node.value


def told(argument: ast.expr) -> str:
    """What is in the quotation marks of a text."""
    return ast.unparse(argument).removeprefix("f")[1:-1]


def errors() -> Iterator[tuple[str, str, str]]:
    """Of every call with a `param`: the file, the param as it is in a text, and the message."""
    for path, tree in files():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            param = next((word.value for word in node.keywords if word.arg == "param"), None)
            message = node.args[0]
            if param is not None and isinstance(message, ast.Constant | ast.JoinedStr):
                is_text = isinstance(param, ast.Constant | ast.JoinedStr)
                yield path, told(param) if is_text else f"{{{ast.unparse(param)}}}", told(message)


def notices() -> Iterator[Found]:
    """The text of every warning, and the file; where it is a variable, each text that this is set
    to in the file.
    """
    for path, tree in files():
        set_to = [
            (target.id, node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        ]
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or ast.unparse(node.func) != "Notice":
                continue
            given = next(word.value for word in node.keywords if word.arg == "text")
            name = given.id if isinstance(given, ast.Name) else None
            for text in [given] if name is None else [v for n, v in set_to if n == name]:
                if isinstance(text, ast.Constant | ast.JoinedStr):
                    yield path, BRACES.sub("{}", told(text))


def test_the_wire_has_words_of_its_own() -> None:
    assert {"ref_audio", "source_audio", "target_voice", "fallback_mode"} <= wire_words()
    assert {"allow_resize", "interpolate_output", "upscale_factor", "point_labels"} <= names()


def test_no_text_names_a_field_of_the_wire() -> None:
    words, telling = "|".join(wire_words()), "|".join(names())
    said = re.compile(rf"^({words})(: |\[)|['\"]({words})['\"]|\b({telling})\b")
    assert [found for found in texts() if said.search(found[1])] == []


def test_no_error_is_about_a_field_of_the_wire() -> None:
    root = re.compile(r"[a-z_]*")
    assert [
        (path, param)
        for path, param, _ in errors()
        if (found := root.match(param)) and found[0] in wire_words()
    ] == []


def test_no_message_begins_with_its_field() -> None:
    assert [found for found in errors() if found[2].startswith(f"{found[1]}: ")] == []


def test_no_message_names_a_field_in_its_text() -> None:
    """Each dialect has its own name for a field, and says it beside the text."""
    fields = "|".join(core_fields())
    telling = "|".join(word for word in core_fields() if "_" in word)
    named = re.compile(rf"^({fields})[^ ]*: |['\"]({fields})['\"]|\b({telling})\b")
    warnings = [*notices()]
    assert len(warnings) > 40
    said = [*warnings, *((path, BRACES.sub("{}", text)) for path, _, text in errors())]
    assert [each for each in said if named.search(each[1])] == []


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_words_are_words_of_the_wire(name: str) -> None:
    assert name in wire_words()
