"""What llguidance says of a JSON schema, and how one is made without what it cannot express.

It is asked, in its lenient mode, instead of keeping a list of what it knows; only how it puts
things is written down here, as of 1.7.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from serve_app.core.text.json_schema import Schema, are_discriminated, resolved, rewritten

FORGIVEN = frozenset({"uniqueItems"})
"""What `strict` does not insist on: the official clients send it for every set, with `strict`."""
LISTING = frozenset({"const", "enum", "type", "title", "description"})
"""What a list of names may consist of."""
UNIMPLEMENTED = "Unimplemented keys: "
UNKNOWN_FORMAT = "Unknown format: "
NO_COUNT = "min/maxProperties "
TOO_FEW = "Unsatisfiable schema: minProperties "
COUNTED = re.compile(r" \(\d{1,9} times\)$")
COUNTS = ("minProperties", "maxProperties")
MOST_NAMED = 10
MOST_ITEMS = 10_000
"""How many items of an array are counted: a grammar grows with each and ends at some 30,000."""


@dataclass(frozen=True)
class SchemaGap:
    """Something of a schema that is not enforced, and how an object without it is made."""

    names: tuple[str, ...]
    said: str
    mend: Callable[[Schema], Schema]
    is_asserted: bool = True


def judged(schema: Schema) -> tuple[bool, list[str]]:
    """What llguidance says: whether it is an error, then the only one, and otherwise what it would
    leave out by itself.
    """
    from llguidance import LLMatcher

    options: Any = {"lenient": True}
    try:
        grammar = LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=options)
    except ValueError as error:
        return True, [str(error)]
    return LLMatcher.validate_grammar_with_warnings(grammar)


def gaps_in(schema: Schema) -> tuple[list[SchemaGap], str | None]:
    """What cannot be enforced; and, when leaving it out does not help, what is wrong."""
    if beyond := _unlimited(schema):
        return beyond, None
    is_error, said = judged(schema)
    found = [gap for text in said for gap in _gaps_of(text, schema, is_error=is_error)]
    found += _unknown_formats(said) + _uncounted(schema)
    return found, said[0] if is_error and not found else None


def _gaps_of(text: str, schema: Schema, *, is_error: bool) -> list[SchemaGap]:
    """What one warning or error is about."""
    if text.startswith((UNKNOWN_FORMAT, NO_COUNT)):
        return []
    if text.startswith(UNIMPLEMENTED):
        words = json.loads(COUNTED.sub("", text).removeprefix(UNIMPLEMENTED))
        return [_unimplemented(word) for word in words]
    if text.startswith("oneOf "):
        return [SchemaGap(("oneOf",), "'oneOf' is enforced as 'anyOf'", _with_any_of)]
    if text.startswith("patternProperty regexes "):
        said = "'patternProperties' that overlap are not enforced"
        return [SchemaGap(("patternProperties",), said, _dropping("patternProperties"))]
    if text.startswith("regex parse error") and text.rstrip().endswith("not supported"):
        said = "patterns that look around or back are not enforced"
        return [SchemaGap(("pattern",), said, _without_odd_patterns)]
    dialect = schema.get("$schema")
    if text.startswith("Resource ") and isinstance(dialect, str) and repr(dialect) in text:
        said = f"the dialect {dialect[:100]!r} is not known"
        return [SchemaGap(("$schema",), said, _dropping("$schema"), is_asserted=False)]
    return [] if is_error else [SchemaGap((text[:100],), f"{text[:200]!r}", dict)]


def _unknown_formats(said: list[str]) -> list[SchemaGap]:
    """Those of them all at once. A format is a note to the reader wherever nothing checks it."""
    texts = [COUNTED.sub("", text) for text in said if text.startswith(UNKNOWN_FORMAT)]
    if not texts:
        return []
    names = [text.removeprefix(UNKNOWN_FORMAT) for text in texts]
    listed = ", ".join(repr(name[:50]) for name in names[:MOST_NAMED])
    mend = partial(_without_formats, names=frozenset(names))
    return [
        SchemaGap(("format",), f"'format' is not enforced for {listed}", mend, is_asserted=False)
    ]


def _unimplemented(word: str) -> SchemaGap:
    said = f"{word!r} is not enforced"
    return SchemaGap((word,), said, _dropping(word), is_asserted=word not in FORGIVEN)


def _dropping(*words: str) -> Callable[[Schema], Schema]:
    return lambda each: {word: value for word, value in each.items() if word not in words}


def _without_formats(each: Schema, *, names: frozenset[str]) -> Schema:
    name = each.get("format")
    return _dropping("format")(each) if isinstance(name, str) and name in names else each


def _with_any_of(each: Schema) -> Schema:
    if "oneOf" not in each:
        return each
    rest, branches = _dropping("oneOf")(each), each["oneOf"]
    if "anyOf" not in rest:
        return rest | {"anyOf": branches}
    others = rest.get("allOf", [])
    return rest | {"allOf": [*others, {"anyOf": branches}]} if isinstance(others, list) else each


def _uncounted(schema: Schema) -> list[SchemaGap]:
    """Numbers of properties that llguidance does not count. It is asked about each object alone,
    because of one inside another it says that nothing fits it, or nothing at all.
    """
    if rewritten(schema, _without_odd_counts) == schema:
        return []
    said = "the number of properties is not enforced where some are optional"
    return [SchemaGap(COUNTS, said, _without_odd_counts)]


def _without_odd_counts(each: Schema) -> Schema:
    counts = {word: each[word] for word in COUNTS if word in each}
    named = each.get("properties")
    if not counts or not isinstance(named, dict):
        return each
    alone = {"type": "object", "properties": dict.fromkeys(named, True)} | counts
    if each.get("additionalProperties") is False:
        alone["additionalProperties"] = False
    _, said = judged(alone | {"required": each.get("required", [])})
    # Of an object without further properties it counts the required ones only.
    least = counts.get("minProperties", 0)
    is_short = isinstance(least, int) and least > len(named)
    marks = NO_COUNT if is_short else (NO_COUNT, TOO_FEW)
    return _dropping(*COUNTS)(each) if any(text.startswith(marks) for text in said) else each


def _unlimited(schema: Schema) -> list[SchemaGap]:
    """Numbers of items that are beyond counting, which has to be known before it is tried."""
    if rewritten(schema, _without_large_counts) == schema:
        return []
    said = f"numbers of items above {MOST_ITEMS} are not enforced"
    return [SchemaGap(("minItems", "maxItems"), said, _without_large_counts)]


def _without_large_counts(each: Schema) -> Schema:
    large = [
        word
        for word in ("minItems", "maxItems")
        if isinstance(each.get(word), int | float) and each[word] > MOST_ITEMS
    ]
    return _dropping(*large)(each) if large else each


def _without_odd_patterns(each: Schema) -> Schema:
    """Only those that llguidance cannot read; the others stay."""
    if isinstance(each.get("pattern"), str) and _is_odd(each["pattern"]):
        each = _dropping("pattern")(each)
    named = each.get("patternProperties")
    if isinstance(named, dict):
        kept = {pattern: value for pattern, value in named.items() if not _is_odd(pattern)}
        each = each | {"patternProperties": kept}
    return each


def _is_odd(pattern: str) -> bool:
    return judged({"type": "string", "pattern": pattern})[0]


def plain(each: Schema, *, root: Schema) -> Schema:
    """Without words that say nothing, alternatives that exclude each other as plain ones, and the
    names that properties may have as those properties.
    """
    if each.get("uniqueItems") is False:
        each = _dropping("uniqueItems")(each)
    if "propertyNames" in each and not {"properties", "patternProperties"} & each.keys():
        each = _with_names(each, root)
    branches = each.get("oneOf")
    if isinstance(branches, list) and are_discriminated(branches, root):
        return _with_any_of(each)
    return each


def _with_names(each: Schema, root: Schema) -> Schema:
    """An object whose keys are listed, as a dictionary by an enumeration, has just these."""
    names = resolved(each["propertyNames"], root)
    if not isinstance(names, dict) or not names.keys() <= LISTING:
        return each
    listed = names.get("enum", [names["const"]] if "const" in names else None)
    if not isinstance(listed, list):
        return each
    value = each.get("additionalProperties", True)
    allowed = {name: value for name in listed if isinstance(name, str)}
    rest = _dropping("propertyNames")(each)
    return rest | {"properties": allowed, "additionalProperties": False}
