#!/bin/bash
# llguidance 1.7.6.
#
# One would guess: whether the members of a `oneOf` exclude each other does not depend on where they are written down, so
# that a union whose members have different constants in a required property is followed as well behind `$ref`, as
# every generator writes it, as in place. And that OpenAPI's `discriminator`, which is no keyword of JSON Schema, means nothing.
# Instead: in place it is followed; behind references it is refused ("oneOf constraints are not supported"), unless there
# is a `discriminator` beside it, whatever that says. So a discriminated union of pydantic works, and the same schema
# by hand or from a generator without OpenAPI's keyword does not: it has to be written as `anyOf`, which then means the same.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet llguidance==1.7.6
"$folder/venv/bin/python" - <<'PYTHON'
import json
import sys

from llguidance import LLMatcher


def followed(schema: dict) -> bool:
    grammar = LLMatcher.grammar_from_json_schema(json.dumps(schema))
    return LLMatcher.validate_grammar(grammar) == ""


def member(kind: str) -> dict:
    tag = {"type": "string", "const": kind}
    return {"type": "object", "properties": {"kind": tag}, "required": ["kind"]}


members = {"Cat": member("cat"), "Dog": member("dog")}
references = [{"$ref": f"#/$defs/{name}"} for name in members]
schemas = {
    "in place": {"oneOf": list(members.values())},
    "behind references": {"oneOf": references, "$defs": members},
    "with its discriminator": {
        "oneOf": references, "$defs": members, "discriminator": {"propertyName": "kind"}
    },
    "with another one": {
        "oneOf": references, "$defs": members, "discriminator": {"propertyName": "nothing"}
    },
    "as anyOf": {"anyOf": references, "$defs": members},
}
seen = {name: followed(schema) for name, schema in schemas.items()}
for name, is_followed in seen.items():
    print(f"{name}: {'followed' if is_followed else 'refused'}")
sys.exit(list(seen.values()) != [True, False, True, True, True])
PYTHON
