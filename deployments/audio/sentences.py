"""Text cut into sentences, so that speech can begin with the first and end between any two."""

import re
from collections.abc import Iterator

# Western and full-width ends, with the quotes and brackets that close after them.
_SENTENCE = re.compile(r"(?<=[.!?…])[\"'”’»)\]]*\s+|(?<=[。！？])[」』”]*|\n+")  # noqa: RUF001
_CLAUSE = re.compile(r"(?<=[,;:—])\s+|(?<=[，、；：])")  # noqa: RUF001
SHORTEST = 12
LONGEST = 300


def sentences(text: str, *, longest: int = LONGEST) -> list[str]:
    """The sentences in order, none blank. What is longer than `longest` characters is cut at
    clauses, else at words, else anywhere; what is shorter than a dozen joins its successor.
    """
    pieces = [piece for part in _pieces(text, _SENTENCE) for piece in _short(part, longest)]
    joined: list[str] = []
    for piece in pieces:
        if joined and len(joined[-1]) < SHORTEST and len(joined[-1]) + len(piece) < longest:
            joined[-1] = f"{joined[-1]} {piece}"
        else:
            joined.append(piece)
    return joined


def _pieces(text: str, boundary: re.Pattern[str]) -> Iterator[str]:
    """Cut after each boundary; closing quotes stay with their sentence."""
    start = 0
    for found in boundary.finditer(text):
        if piece := text[start : found.end()].strip():
            yield piece
        start = found.end()
    if piece := text[start:].strip():
        yield piece


def _short(sentence: str, longest: int) -> Iterator[str]:
    if len(sentence) <= longest:
        yield sentence
        return
    for clause in _pieces(sentence, _CLAUSE):
        while len(clause) > longest:
            at = clause.rfind(" ", 1, longest + 1)
            at = longest if at < 0 else at
            yield clause[:at].strip()
            clause = clause[at:].strip()
        if clause:
            yield clause
