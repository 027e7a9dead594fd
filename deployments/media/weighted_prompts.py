r"""Prompts whose words have weights, in the widespread notation: `(more)`, `(more:1.2)`, `[less]`,
`\(` for a bracket, and `BREAK` for the end of a chunk.

See https://github.com/AUTOMATIC1111/stable-diffusion-webui/wiki/Features#attentionemphasis.
"""

import re
from itertools import groupby
from typing import NamedTuple

from deployments.media.prompt_schedules import composed_texts, prompt_stretches

ROUND, SQUARE = 1.1, 1 / 1.1
"""What a pair of brackets multiplies the weight by."""

TOKEN = re.compile(
    r"\\[()\[\]\\]|[(\[]|:\s*(?P<weight>[+-]?(?:\d+(?:\.\d*)?|\.\d+))\s*\)|[)\]]"
    r"|(?<!\w)BREAK(?!\w)|[^\\()\[\]:B]+|.",
    re.DOTALL,
)


class WeightedText(NamedTuple):
    """A stretch of a prompt; a break has no text."""

    text: str
    weight: float

    @property
    def is_break(self) -> bool:
        """Whether the chunk ends here."""
        return not self.text


def weighted_texts(prompt: str) -> list[WeightedText]:
    """The stretches of a prompt. Brackets that are not closed count up to the end."""
    matches = list(TOKEN.finditer(prompt))
    factors, closing = _brackets(matches)
    weights: dict[str, list[float]] = {"(": [1.0], "[": [1.0]}
    parts: list[WeightedText] = []
    for place, match in enumerate(matches):
        token = match[0]
        if token in weights:
            weights[token].append(weights[token][-1] * factors[place])
        elif place in closing:
            weights[closing[place]].pop()
        elif token == "BREAK":
            parts.append(WeightedText("", 1.0))
        else:
            text = token[1:] if token[0] == "\\" and len(token) > 1 else token
            parts.append(WeightedText(text, weights["("][-1] * weights["["][-1]))
    return _merged(parts)


def _brackets(matches: list[re.Match[str]]) -> tuple[dict[int, float], dict[int, str]]:
    """By what each bracket that opens multiplies, and which kind each one that closes closes; both
    by their places. The kinds know nothing of each other.
    """
    opened: dict[str, list[int]] = {"(": [], "[": []}
    factors: dict[int, float] = {}
    closing: dict[int, str] = {}
    for place, match in enumerate(matches):
        token, weight = match[0], match["weight"]
        kind = "[" if token == "]" else "(" if token == ")" or weight is not None else None
        if token in opened:
            opened[token].append(place)
            factors[place] = ROUND if token == "(" else SQUARE
        elif kind is not None and opened[kind]:
            start = opened[kind].pop()
            closing[place] = kind
            factors[start] = factors[start] if weight is None else float(weight)
    return factors, closing


def plain_text(prompt: str) -> str:
    """The prompt without its weights, as it is half way, and all that it is composed of."""
    texts = (prompt_stretches(part.text, 2)[0].text for part in composed_texts(prompt))
    return ", ".join("".join(part.text or " " for part in weighted_texts(text)) for text in texts)


def _merged(parts: list[WeightedText]) -> list[WeightedText]:
    """Neighbours of one weight as one."""
    groups = groupby(parts, key=lambda part: (part.is_break, part.weight))
    return [
        WeightedText("".join(part.text for part in same), weight) for (_, weight), same in groups
    ]
