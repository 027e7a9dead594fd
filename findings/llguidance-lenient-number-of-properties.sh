#!/bin/bash
# llguidance 1.7.6, JSON schemas with its option `lenient`.
#
# One would guess: `lenient` leaves out what cannot be expressed and warns, as it does for `not` or `uniqueItems`; so of
# an object with optional properties and `minProperties` (which the strict mode refuses as "only supported when all keys
# listed in "properties" are required") the number is not enforced and all else is.
# Instead: where the object is closed (`additionalProperties` false), only the required properties are counted, and the
# schema is an error, "greater than number of properties (0)", although {"a": 1, "b": 2} fits it. Inside another
# object it is worse: as a required property it makes the whole schema "unsatisfiable", and as an optional one there is the
# usual warning, but the property is then never written at all. The keyword has to be taken out before.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet llguidance==1.7.6
"$folder/venv/bin/python" - <<'PYTHON'
import json
import sys

from llguidance import LLMatcher, LLTokenizer

TOKENIZER = LLTokenizer("byte")


def grammar_of(schema: dict) -> str:
    return LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides={"lenient": True})


def said(schema: dict) -> tuple[bool, list[str]]:
    return LLMatcher.validate_grammar_with_warnings(grammar_of(schema))


def accepts(schema: dict, value: object) -> bool:
    matcher = LLMatcher(TOKENIZER, grammar_of(schema))
    tokens = TOKENIZER.tokenize_str(json.dumps(value, separators=(",", ":")))
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


pair = {
    "type": "object",
    "properties": {"a": {"const": 1}, "b": {"const": 2}},
    "additionalProperties": False,
}
two = pair | {"minProperties": 2}
outer = {"type": "object", "properties": {"x": two}, "additionalProperties": False}
free = outer | {"properties": {"x": pair}}
full = {"x": {"a": 1, "b": 2}}
seen = [
    said(pair | {"not": {"const": {}}}) == (False, ['Unimplemented keys: ["not"]']),
    accepts(pair, full["x"]),
    said(two)[0] and "greater than number of properties (0)" in said(two)[1][0],
    not said(outer)[0] and said(outer)[1][0].startswith("min/maxProperties only supported"),
    accepts(free, full),
    not accepts(outer, full),
    accepts(outer, {}),
    said(outer | {"required": ["x"]})[0],
]
print("left out with a warning: 'not'", seen[0], "- by itself:", said(two))
print("inside another object, optional:", said(outer), "- its value can be written:", accepts(outer, full))
print("inside another object, required:", said(outer | {"required": ["x"]}))
sys.exit(not all(seen))
PYTHON
