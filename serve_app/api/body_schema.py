"""Schemas of bodies that routes read by themselves, for the description of the server."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel


def body_schema(kind: type[BaseModel]) -> dict[str, Any]:
    """The schema of a body, without references."""
    schema = kind.model_json_schema()
    whole: dict[str, Any] = _resolved(schema, schema.pop("$defs", {}))
    return whole


def _resolved(value: Any, definitions: Mapping[str, Any]) -> Any:
    """A schema with its definitions in place: the document that it becomes a part of has others."""
    if isinstance(value, list):
        return [_resolved(item, definitions) for item in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return _resolved(definitions[value["$ref"].rpartition("/")[2]], definitions)
    return {
        name: _resolved(item, definitions)
        for name, item in value.items()
        if name != "discriminator"
    }
