from typing import Any

import pytest

from serve_app.core.text.json_schema import (
    are_discriminated,
    references,
    rerooted,
    resolved,
    rewritten,
)

NODE: dict[str, Any] = {
    "$id": "https://a.example/node",
    "$defs": {"a/b": {"type": "string"}},
    "type": "object",
    "properties": {"next": {"$ref": "#"}, "name": {"$ref": "#/$defs/a~1b"}},
}


def test_a_schema_that_is_put_elsewhere_refers_to_itself_there() -> None:
    assert rerooted(NODE, "#/$defs/x") == {
        "$defs": {"a/b": {"type": "string"}},
        "type": "object",
        "properties": {
            "next": {"$ref": "#/$defs/x"},
            "name": {"$ref": "#/$defs/x/$defs/a~1b"},
        },
    }
    assert NODE["properties"]["next"] == {"$ref": "#"}


def test_references_are_found_where_keywords_stand_and_nowhere_else() -> None:
    schema = {
        "properties": {"$ref": {"$ref": "#/a"}, "const": {"items": [{"$ref": "#/b"}]}},
        "const": {"$ref": "#/c"},
        "enum": [{"$ref": "#/d"}],
        "default": {"$ref": "#/e"},
        "anyOf": [{"not": {"$ref": "other.json#/f"}}],
    }
    assert references(schema) == {"#/a", "#/b", "other.json#/f"}
    assert rerooted(schema, "#/x")["const"] == {"$ref": "#/c"}


def test_names_of_properties_are_no_keywords() -> None:
    schema = {"properties": {"not": {"not": {}}, "properties": {"properties": {"not": True}}}}
    without_not = rewritten(schema, lambda each: {k: v for k, v in each.items() if k != "not"})
    assert without_not == {"properties": {"not": {}, "properties": {"properties": {"not": True}}}}


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("#", NODE),
        ("#/$defs/a~1b", {"type": "string"}),
        ("#/properties/name", {"type": "string"}),
        ("#/nothing", {"$ref": "#/nothing"}),
        ("https://a.example", {"$ref": "https://a.example"}),
    ],
)
def test_references_are_followed(target: str, found: Any) -> None:
    assert resolved({"$ref": target}, NODE) == found


def test_references_in_a_circle_end() -> None:
    circle = {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}
    assert "$ref" in resolved({"$ref": "#/$defs/a"}, circle)


def member(tag: Any, *, required: bool = True, **fields: Any) -> dict[str, Any]:
    needs = {"required": ["kind"]} if required else {}
    return {"type": "object", "properties": {"kind": tag}, **needs, **fields}


@pytest.mark.parametrize(
    ("branches", "is_apart"),
    [
        ([member({"const": "a"}), member({"enum": ["b"]})], True),
        ([{"$ref": "#/$defs/A"}, member({"const": "b"})], True),
        ([member({"const": 1}), member({"const": "1"})], True),
        ([member({"const": "a"}), member({"const": "a"})], False),
        ([member({"const": "a"}), member({"type": "string"})], False),
        ([member({"const": "a"}), member({"const": "b"}, required=False)], False),
        ([member({"const": "a"}), member({"const": "b"}, type=["object", "null"])], False),
        ([member({"const": "a"}), True], False),
        ([{"type": "integer"}, {"type": "number"}], False),
    ],
)
def test_members_of_a_discriminated_union_exclude_each_other(
    branches: list[Any], is_apart: bool
) -> None:
    root = {"$defs": {"A": member({"const": "a"})}}
    assert are_discriminated(branches, root) == is_apart
