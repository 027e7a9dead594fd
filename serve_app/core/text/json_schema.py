"""JSON schemas taken apart and put together, knowing where in them keywords stand. Pure, and no
validator: what a grammar can enforce is the engines' to say.
"""

from collections.abc import Callable
from typing import Any

Schema = dict[str, Any]
NAMED = frozenset(
    {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"}
)
"""Keywords whose value has names of the caller's as keys."""
DATA = frozenset({"const", "enum", "default", "examples", "example"})
"""Keywords whose value is no schema."""
LONGEST_WAY = 20
"""References that are followed one after the other; they may go round in a circle."""


def rewritten(schema: Any, change: Callable[[Schema], Schema]) -> Any:
    """The schema with every object in which keywords stand changed, the innermost first. The
    original is left as it is.
    """
    return _rewritten(schema, change, has_names=False)


def _rewritten(value: Any, change: Callable[[Schema], Schema], *, has_names: bool) -> Any:
    if isinstance(value, list):
        return [_rewritten(each, change, has_names=False) for each in value]
    if not isinstance(value, dict):
        return value
    if has_names:
        return {name: _rewritten(each, change, has_names=False) for name, each in value.items()}
    inner = {
        word: each if word in DATA else _rewritten(each, change, has_names=word in NAMED)
        for word, each in value.items()
    }
    return change(inner)


def references(schema: Schema) -> set[str]:
    """The targets of every `$ref` in it."""
    found: set[str] = set()

    def look(each: Schema) -> Schema:
        if isinstance(each.get("$ref"), str):
            found.add(each["$ref"])
        return each

    rewritten(schema, look)
    return found


def rerooted(schema: Schema, pointer: str) -> Schema:
    """The schema as it is where it no longer is the root but stands at `pointer` (`#/$defs/x`): its
    references to itself lead there. Its own `$id` and `$schema`, which say what the root is, go.
    """

    def moved(each: Schema) -> Schema:
        target = each.get("$ref")
        if target == "#" or (isinstance(target, str) and target.startswith("#/")):
            return each | {"$ref": f"{pointer}{target[1:]}"}
        return each

    root = {word: value for word, value in schema.items() if word not in ("$id", "$schema")}
    return dict(rewritten(root, moved))


def resolved(schema: Any, root: Schema) -> Any:
    """What a schema that is a reference into the root refers to, through others; a schema that is
    none, or whose reference leads nowhere, as it is.
    """
    for _ in range(LONGEST_WAY):
        if not isinstance(schema, dict) or not isinstance(schema.get("$ref"), str):
            break
        found = _found(schema["$ref"], root)
        if found is None:
            break
        schema = found
    return schema


def _found(target: str, root: Schema) -> Any:
    if target != "#" and not target.startswith("#/"):
        return None
    value: Any = root
    for part in target.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        elif isinstance(value, dict) and name in value:
            value = value[name]
        else:
            return None
    return value


def are_discriminated(branches: list[Any], root: Schema) -> bool:
    """Whether no value fits two of these schemas, because all want an object with a property that
    has another constant in each, as the members of a discriminated union.
    """
    objects = [resolved(branch, root) for branch in branches]
    if not all(isinstance(each, dict) and each.get("type") == "object" for each in objects):
        return False
    tags = [_constants(each, root) for each in objects]
    shared = set.intersection(*map(set, tags)) if tags else set()
    return any(len({repr(tag[name]) for tag in tags}) == len(tags) for name in shared)


def _constants(schema: Schema, root: Schema) -> dict[str, Any]:
    """The required properties that can have one value only."""
    named, required = schema.get("properties"), schema.get("required")
    if not isinstance(named, dict) or not isinstance(required, list):
        return {}
    found: dict[str, Any] = {}
    for name, value in named.items():
        each = resolved(value, root)
        if name not in required or not isinstance(each, dict):
            continue
        if "const" in each:
            found[name] = each["const"]
        elif isinstance(each.get("enum"), list) and len(each["enum"]) == 1:
            found[name] = each["enum"][0]
    return found
