"""One choice's answer taken apart while it is written: reasoning, text and tool calls."""

import secrets
import string
from dataclasses import dataclass, field
from typing import Literal, Self

from deployments.text.generation.text import partial_suffix
from deployments.text.generation.tool_format import ToolFormat, calls_in
from serve_app.core.text.chat import ChatDelta, Tool, ToolCallDelta

THINK, THINK_END = "<think>", "</think>"
Mode = Literal["start", "reasoning", "text", "call"]


@dataclass
class AnswerParser:
    """Fed with text, gives deltas. `tools` empty means that no call is looked for; `is_thinking`
    that the prompt already opened the reasoning.
    """

    index: int
    tools: tuple[Tool, ...] = ()
    format: ToolFormat | None = None
    is_thinking: bool = False
    allows_several: bool = True
    calls: int = 0
    is_reasoning: bool = field(init=False, default=False)
    _mode: Mode = field(init=False, default="start")
    _held: str = field(init=False, default="")
    _dropped: str = field(init=False, default="")
    """Characters that are no text where they come next, as line ends after a mark."""

    def __post_init__(self) -> None:
        if self.is_thinking:
            self._mode = "reasoning"
        self.is_reasoning = self.is_thinking

    def inside_call(self) -> Self:
        """The same parser, for an answer whose prompt already opened a call."""
        self._mode = "call"
        return self

    def as_text(self) -> Self:
        """The same parser, for an answer that is text whatever it begins with."""
        self._mode = "text"
        return self

    @property
    def is_done(self) -> bool:
        """Whether no further call is wanted."""
        return self.calls > 0 and not self.allows_several

    def push(self, text: str) -> list[ChatDelta]:
        """The deltas that are certain with this text."""
        self._held += text
        deltas: list[ChatDelta] = []
        while self._advance(deltas, is_end=False):
            pass
        return deltas

    def finish(self) -> list[ChatDelta]:
        """The rest; an unfinished call that cannot be read is text."""
        deltas: list[ChatDelta] = []
        while self._held and self._advance(deltas, is_end=True):
            pass
        return deltas

    def _advance(self, deltas: list[ChatDelta], *, is_end: bool) -> bool:
        """Take one step; whether another one may be possible."""
        self._held = "" if self.is_done else self._held.lstrip(self._dropped)
        if not self._held:
            return False
        self._dropped = ""
        match self._mode:
            case "start":
                return self._start(is_end)
            case "reasoning":
                return self._until(THINK_END, "text", deltas, is_end)
            case "text":
                return self._text(deltas, is_end)
            case "call":
                return self._call(deltas, is_end)

    def _start(self, is_end: bool) -> bool:
        """What the answer begins with decides what it is."""
        seen = self._held.lstrip()
        if seen.startswith(THINK):
            self._held, self._dropped = seen[len(THINK) :], "\n"
            self._mode, self.is_reasoning = "reasoning", True
            return True
        if not is_end and (not seen or THINK.startswith(seen)):
            return False
        is_bare_call = self.format is not None and self.format.is_bare and bool(self.tools)
        if is_bare_call and seen.startswith(("{", "[", "<|python_tag|>")):
            self._mode = "call"
        elif is_bare_call and not is_end and "<|python_tag|>".startswith(seen):
            return False
        else:
            self._mode = "text"
        return True

    def _text(self, deltas: list[ChatDelta], is_end: bool) -> bool:
        if not self.tools or self.format is None or self.format.is_bare:
            return self._emit(deltas, len(self._held))
        return self._until(self.format.opening, "call", deltas, is_end)

    def _until(self, mark: str, then: Mode, deltas: list[ChatDelta], is_end: bool) -> bool:
        """Pass on what comes before a mark; part of a mark is held back."""
        place = self._held.find(mark)
        if place >= 0:
            self._emit(deltas, place)
            self._held = self._held[len(mark) :]
            if self._mode == "reasoning":
                self._dropped = "\n"
                self.is_reasoning = False
            self._mode = then
            return True
        keep = 0 if is_end else partial_suffix(self._held, (mark,))
        return self._emit(deltas, len(self._held) - keep)

    def _call(self, deltas: list[ChatDelta], is_end: bool) -> bool:
        assert self.format is not None
        closing = self.format.closing
        place = self._held.find(closing) if closing else -1
        if place < 0 and not is_end:
            return False
        inside = self._held if place < 0 else self._held[:place]
        rest = "" if place < 0 else self._held[place + len(closing or "") :]
        calls = calls_in(inside, self.tools)
        self._mode, self._held = "text", rest
        if calls is None:
            text = self.format.opening + inside + (closing or "" if place >= 0 else "")
            deltas.append(ChatDelta(index=self.index, text=text))
        else:
            self._dropped = string.whitespace
            self._emit_calls(deltas, calls)
        return bool(self._held)

    def _emit_calls(self, deltas: list[ChatDelta], calls: list[tuple[str, str]]) -> None:
        for name, arguments in calls[: None if self.allows_several else 1]:
            call = ToolCallDelta(
                index=self.calls,
                id=f"call_{secrets.token_hex(12)}",
                name=name,
                arguments=arguments,
            )
            self.calls += 1
            deltas.append(ChatDelta(index=self.index, tool_calls=(call,)))

    def _emit(self, deltas: list[ChatDelta], count: int) -> bool:
        text, self._held = self._held[:count], self._held[count:]
        if text and self._mode == "reasoning":
            deltas.append(ChatDelta(index=self.index, reasoning=text))
        elif text:
            deltas.append(ChatDelta(index=self.index, text=text))
        return False
