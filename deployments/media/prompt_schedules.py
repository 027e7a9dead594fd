"""Prompts that change on the way to an image, and prompts that are made of several, in the
widespread notation: `[from:to:when]`, `[to:when]`, `[from::when]`, `[one|other]` and `AND`.

See https://github.com/AUTOMATIC1111/stable-diffusion-webui/wiki/Features#prompt-editing. Knows
nothing of weights; every step has a prompt of its own that may have some.
"""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

NUMBER = re.compile(r"\s*[+-]?(\d{1,9}(\.\d{0,30})?|\.\d{1,30})\s*")
TOKEN = re.compile(r"\\.|[^\\\[\]():|]+|.", re.DOTALL)
AND = re.compile(r"(?<!\w)AND(?!\w)")
MOST_NESTED = 50
"""Brackets that lie deeper are text."""


class PromptStretch(NamedTuple):
    """What the prompt is up to the step `until`, of which the first is 1."""

    until: int
    text: str


class ComposedText(NamedTuple):
    """One of the texts that an image is made of; `weight` says how much."""

    text: str
    weight: float


@dataclass(frozen=True)
class _Change:
    """`before` becomes `after` behind the step `when`, which is a share of all where `is_share`."""

    before: "_Nodes"
    after: "_Nodes"
    when: float
    is_share: bool


@dataclass(frozen=True)
class _Alternation:
    """Step by step the next of the `options`."""

    options: "tuple[_Nodes, ...]"


_Nodes = tuple["str | _Change | _Alternation", ...]


@dataclass
class _Bracket:
    """One that is open: what is in it, in parts by the marks that divide it."""

    opener: str
    parts: list[list[str | _Change | _Alternation]] = field(default_factory=lambda: [[]])
    marks: list[str] = field(default_factory=list)

    def add(self, *nodes: str | _Change | _Alternation) -> None:
        self.parts[-1].extend(nodes)

    def divide(self, mark: str) -> None:
        self.marks.append(mark)
        self.parts.append([])

    def as_text(self, closer: str = "") -> _Nodes:
        """With what opens, divides and closes it."""
        nodes: list[str | _Change | _Alternation] = [self.opener, *self.parts[0]]
        for mark, part in zip(self.marks, self.parts[1:], strict=True):
            nodes += [mark, *part]
        return (*nodes, closer)

    def closed(self, closer: str) -> _Nodes:
        """What it means."""
        marks = set(self.marks)
        if self.opener != "[" or not marks:
            return self.as_text(closer)
        if marks == {"|"}:
            return (_Alternation(tuple(map(tuple, self.parts))),)
        last = "".join(node if isinstance(node, str) else "\0" for node in self.parts[-1])
        if marks != {":"} or len(self.marks) > 2 or not NUMBER.fullmatch(last):
            return self.as_text(closer)
        before, after = ([], *self.parts[:-1])[-2:]
        when = float(last)
        return (_Change(tuple(before), tuple(after), when, "." in last or 0 < when < 1),)


def composed_texts(prompt: str) -> list[ComposedText]:
    """The texts between each `AND`, of which each may end in a weight, `:0.8`."""
    texts = AND.split(prompt)
    if len(texts) == 1:
        return [ComposedText(prompt, 1.0)]
    return [_weighed(text.strip()) for text in texts]


def prompt_stretches(prompt: str, steps: int, *, steps_before: int = 0) -> list[PromptStretch]:
    """The prompt over so many steps; at least one stretch. Behind an earlier pass of
    `steps_before`, steps are counted on from there, and shares from 1.
    """
    nodes = _parsed(prompt)
    if all(isinstance(node, str) for node in nodes):
        return [PromptStretch(steps, prompt)]
    stretches: list[PromptStretch] = []
    for step in range(1, steps + 1):
        text = "".join(_at(nodes, step, steps, steps_before))
        if stretches and stretches[-1].text == text:
            stretches.pop()
        stretches.append(PromptStretch(step, text))
    return stretches


def _parsed(prompt: str) -> _Nodes:
    opened = [_Bracket("")]
    for match in TOKEN.finditer(prompt):
        token, top = match[0], opened[-1]
        if token in ("[", "(") and len(opened) <= MOST_NESTED:
            opened.append(_Bracket(token))
        elif token in (":", "|") and top.opener == "[":
            top.divide(token)
        elif token in ("]", ")") and top.opener == {"]": "[", ")": "("}[token]:
            opened.pop()
            opened[-1].add(*top.closed(token))
        elif token == "]" and top.opener == "(":
            # The round one is never closed, so what lies around it is no bracket either.
            opened = [_flat(opened)]
            opened[-1].add(token)
        else:
            top.add(token)
    return tuple(_flat(opened).parts[0])


def _flat(opened: list[_Bracket]) -> _Bracket:
    """The outermost, with those that are open in it as text."""
    base = opened[0]
    for each in opened[1:]:
        base.add(*each.as_text())
    return base


def _at(nodes: _Nodes, step: int, steps: int, before: int) -> list[str]:
    texts = []
    for node in nodes:
        if isinstance(node, str):
            texts.append(node)
        elif isinstance(node, _Alternation):
            texts += _at(node.options[(step - 1) % len(node.options)], step, steps, before)
        else:
            is_early = step <= _last_step(node, steps, before)
            texts += _at(node.before if is_early else node.after, step, steps, before)
    return texts


def _last_step(change: _Change, steps: int, before: int) -> int:
    if change.is_share:
        return int((change.when - (1 if before else 0)) * steps)
    return int(change.when) - before


def _weighed(text: str) -> ComposedText:
    head, colon, number = text.rpartition(":")
    if colon and NUMBER.fullmatch(number):
        return ComposedText(head.rstrip(), float(number))
    return ComposedText(text, 1.0)
