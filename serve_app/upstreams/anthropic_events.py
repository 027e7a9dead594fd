"""The events of an answer of Anthropic's, however they came, as deltas and usage.

Shapes: https://platform.claude.com/docs/en/build-with-claude/streaming. Kinds of events, blocks and
deltas that are not known are passed over, as the vendor asks its clients to.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from typing import Any

from serve_app.core.errors import UpstreamError
from serve_app.core.notices import Notice
from serve_app.core.text.chat import (
    ChatDelta,
    ChatEvent,
    FinishReason,
    Thought,
    ToolCallDelta,
    Usage,
)
from serve_app.core.upstreams.exchange import UpstreamRefused
from serve_app.upstreams.anthropic_messages import Object

FINISH: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}
STATUSES: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""Of errors that come in a stream: they have no status, and are to be treated alike."""
COUNTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


class AnthropicAnswer:
    """Reads one answer, event by event."""

    def __init__(self) -> None:
        self.has_ended = False
        self._counts: Object = {}
        self._calls: dict[int, int] = {}
        """Which call a block is, by the block's index."""
        self._silent: dict[int, str] = {}
        """The arguments of calls of which no delta has come yet."""
        self._has_text = False
        self._thoughts: dict[int, int] = {}
        """Which thought a block is, by the block's index."""

    def read(self, event: Object) -> Iterator[ChatDelta]:
        """What an event brings. UpstreamRefused for an error."""
        match event.get("type"):
            case "message_start":
                self._count(_object(event, "message"))
            case "content_block_start":
                yield from self._start(event.get("index", 0), _object(event, "content_block"))
            case "content_block_delta":
                yield from self._delta(event.get("index", 0), _object(event, "delta"))
            case "content_block_stop":
                yield from self._stop(event.get("index", 0))
            case "message_delta":
                self._count(event)
                yield self._finish(_object(event, "delta"))
            case "message_stop":
                self.has_ended = True
            case "error":
                kind = str(_object(event, "error").get("type"))
                raise UpstreamRefused(STATUSES.get(kind, 500), {}, json.dumps(event).encode())

    @property
    def usage(self) -> Usage:
        """The counts; of the prompt, what came from a cache or went into one is counted apart."""
        details = _object(self._counts, "output_tokens_details")
        thought = details.get("thinking_tokens")
        return Usage(
            prompt_tokens=sum(self._number(name) for name in COUNTS),
            completion_tokens=self._number("output_tokens"),
            cached_tokens=self._number("cache_read_input_tokens"),
            reasoning_tokens=thought if isinstance(thought, int) else None,
        )

    def _number(self, name: str) -> int:
        value = self._counts.get(name)
        return value if isinstance(value, int) and value >= 0 else 0

    def _count(self, holder: Object) -> None:
        """Later counts are of all so far; what they leave out stays."""
        told = _object(holder, "usage")
        self._counts |= {name: value for name, value in told.items() if value is not None}

    def _start(self, index: int, block: Object) -> Iterator[ChatDelta]:
        match block.get("type"):
            case "text":
                yield from self._said(_text(block, "text"))
            case "thinking" | "redacted_thinking":
                yield from self._thought(index, block)
            case "tool_use":
                call = self._calls.setdefault(index, len(self._calls))
                self._silent[index] = json.dumps(block.get("input") or {}, ensure_ascii=False)
                id, name = _text(block, "id"), _text(block, "name")
                yield ChatDelta(tool_calls=(ToolCallDelta(index=call, id=id, name=name),))

    def _delta(self, index: int, delta: Object) -> Iterator[ChatDelta]:
        match delta.get("type"):
            case "text_delta":
                yield from self._said(_text(delta, "text"))
            case "thinking_delta" | "signature_delta":
                yield from self._thought(index, delta)
            case "input_json_delta" if index in self._calls:
                part = _text(delta, "partial_json")
                if part:
                    self._silent.pop(index, None)
                    yield self._arguments(index, part)

    def _stop(self, index: int) -> Iterator[ChatDelta]:
        """A call without arguments has no delta, and `{}` to be called with."""
        if index in self._silent:
            yield self._arguments(index, self._silent.pop(index))

    def _finish(self, delta: Object) -> ChatDelta:
        reason = FINISH.get(_text(delta, "stop_reason"), "stop")
        refusal = _text(_object(delta, "stop_details"), "explanation")
        return ChatDelta(
            text="" if self._has_text else refusal,
            finish_reason=reason,
            stop_word=_text(delta, "stop_sequence") or None,
        )

    def _arguments(self, index: int, part: str) -> ChatDelta:
        return ChatDelta(tool_calls=(ToolCallDelta(index=self._calls[index], arguments=part),))

    def _said(self, text: str) -> Iterator[ChatDelta]:
        self._has_text = self._has_text or bool(text)
        if text:
            yield ChatDelta(text=text)

    def _thought(self, index: int, piece: Object) -> Iterator[ChatDelta]:
        """A block of it, or a piece; the signature is its last one."""
        number = self._thoughts.setdefault(index, len(self._thoughts))
        text = _text(piece, "thinking")
        thought = Thought(
            index=number, signature=_text(piece, "signature"), data=_text(piece, "data")
        )
        if text or thought.signature or thought.data:
            yield ChatDelta(reasoning=text, thought=thought)


async def chat_events(
    events: AsyncIterator[Object], warnings: tuple[Notice, ...] = ()
) -> AsyncGenerator[ChatEvent]:
    """The deltas of an answer, the warnings in the first, and last the usage. UpstreamError where
    the events end before the answer does. The events are not closed here.
    """
    answer = AnthropicAnswer()
    async for event in events:
        for delta in answer.read(event):
            if warnings:
                delta, warnings = delta.model_copy(update={"warnings": warnings}), ()
            yield delta
        if answer.has_ended:
            break
    if not answer.has_ended:
        raise UpstreamError("the provider's response ended early")
    yield answer.usage


def whole_answer_events(message: Object) -> Iterator[Object]:
    """The events that a whole answer would have come in."""
    yield {"type": "message_start", "message": message}
    for index, block in enumerate(message.get("content") or ()):
        yield {"type": "content_block_start", "index": index, "content_block": block}
        yield {"type": "content_block_stop", "index": index}
    yield {"type": "message_delta", "delta": message}
    yield {"type": "message_stop"}


def _object(holder: Object, name: str) -> Object:
    found: Any = holder.get(name)
    return found if isinstance(found, dict) else {}


def _text(holder: Object, name: str) -> str:
    found: Any = holder.get(name)
    return found if isinstance(found, str) else ""
