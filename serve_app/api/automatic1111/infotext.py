"""Infotexts: what an image was generated from, as a text that clients read back."""

import json
import re
from collections.abc import Iterator, Mapping

NEGATIVE = "Negative prompt:"
FEWEST_PAIRS = 3
"""In the last line; with fewer it is part of a prompt."""
QUOTED = json.JSONDecoder()
MARKS = re.compile(r'[,:\n"]')
SIZE = re.compile(r"(\d{1,9})x(\d{1,9})")
KEY = re.compile(r"\w[\w \-/+.]{0,99}")


def infotext(prompt: str, negative_prompt: str, pairs: Mapping[str, object]) -> str:
    """The prompts and a line of pairs, of which those of None are left out."""
    lines = [prompt]
    if negative_prompt:
        lines.append(f"{NEGATIVE} {negative_prompt}")
    known = ((name, value) for name, value in pairs.items() if value is not None)
    lines.append(", ".join(f"{name}: {quoted(value)}" for name, value in known))
    return "\n".join(lines)


def quoted(value: object) -> str:
    """In quotation marks, where the text would else end too soon."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return json.dumps(text, ensure_ascii=False) if MARKS.search(text) else text


def parsed(text: str) -> dict[str, str]:
    """The prompts and the pairs of an infotext; of a size, width and height on their own, too.
    Empty for a text that has no line of pairs.
    """
    *lines, last = text.strip().split("\n")
    found = list(pairs_of(last))
    if len(found) < FEWEST_PAIRS:
        return {}
    begun = next((n for n, line in enumerate(lines) if line.startswith(NEGATIVE)), len(lines))
    negative = "\n".join(lines[begun:]).removeprefix(NEGATIVE).strip()
    parameters = {"Prompt": "\n".join(lines[:begun]).strip(), "Negative prompt": negative}
    for name, value in found:
        size = SIZE.fullmatch(value)
        if size is None:
            parameters[name] = value
        else:
            parameters |= {f"{name}-1": size[1], f"{name}-2": size[2]}
    return parameters


def pairs_of(line: str) -> Iterator[tuple[str, str]]:
    """The pairs of a line, as far as it consists of such; read in one pass."""
    position = 0
    while (colon := line.find(":", position)) >= 0:
        name = line[position:colon].strip()
        if not KEY.fullmatch(name):
            return
        position = colon + 1
        while line[position : position + 1] == " ":
            position += 1
        if line[position : position + 1] == '"':
            try:
                value, position = QUOTED.raw_decode(line, position)
            except ValueError:
                return
            position = _after_comma(line, position)
        else:
            end = _after_comma(line, position)
            value, position = line[position:end].rstrip(", "), end
        yield name, str(value)


def _after_comma(line: str, position: int) -> int:
    comma = line.find(",", position)
    return len(line) if comma < 0 else comma + 1
