"""JSON schemas as Anthropic takes them for what it holds answers to.

Rules: https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations
"""

from typing import Any

Object = dict[str, Any]
NOT_HELD_TO = frozenset(
    {
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "maxItems",
        "uniqueItems",
        "minProperties",
        "maxProperties",
    }
)
"""Keywords that are refused."""
OF_NAMES = frozenset({"properties", "$defs", "definitions"})
"""Keywords with schemas by names, which may be called like keywords."""


def closed_schema(schema: Object) -> tuple[Object, frozenset[str]]:
    """The schema with all objects closed, as they have to be, and the keywords that had to be left
    out of it.
    """
    left_out: set[str] = set()
    closed = _schema(schema, left_out)
    return closed, frozenset(left_out)


def _schema(schema: Object, left_out: set[str]) -> Object:
    written: Object = {}
    for name, value in schema.items():
        if name in NOT_HELD_TO or (name == "minItems" and value not in (0, 1)):
            left_out.add(name)
        elif name in OF_NAMES and isinstance(value, dict):
            written[name] = {key: _value(each, left_out) for key, each in value.items()}
        else:
            written[name] = value if name in ("enum", "const") else _value(value, left_out)
    if schema.get("type") == "object" or "properties" in schema:
        if schema.get("additionalProperties", False) is not False:
            left_out.add("additionalProperties")
        written["additionalProperties"] = False
    return written


def _value(value: Any, left_out: set[str]) -> Any:
    if isinstance(value, dict):
        return _schema(value, left_out)
    if isinstance(value, list):
        return [_value(each, left_out) for each in value]
    return value
