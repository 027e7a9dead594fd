"""Chat answers in OpenAI's shape: whole, and as a stream of chunks."""

import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from serve_app.api.answers import Tell
from serve_app.api.openai.chat_thoughts import add_detail, thought_detail
from serve_app.api.sse import DONE, frame
from serve_app.core.notices import Notice
from serve_app.core.text.chat import ChatDelta, ChatEvent, TokenLogprob, ToolCallDelta, Usage
from serve_app.runtime.random_ids import random_hex
from serve_app.runtime.streams import closing, gathered


@dataclass
class ChoiceText:
    """What one choice said so far."""

    texts: list[str] = field(default_factory=list)
    reasoning_texts: list[str] = field(default_factory=list)
    thoughts: list[dict[str, Any]] = field(default_factory=list)
    calls: dict[int, dict[str, Any]] = field(default_factory=dict)
    logprobs: list[dict[str, Any]] = field(default_factory=list)
    finish_reason: str | None = None

    def add(self, delta: ChatDelta) -> None:
        """Take in the next piece."""
        self.texts.append(delta.text)
        self.reasoning_texts.append(delta.reasoning)
        if delta.thought is not None:
            add_detail(self.thoughts, thought_detail(delta))
        self.logprobs += map(logprob_object, delta.logprobs)
        self.finish_reason = delta.finish_reason or self.finish_reason
        for call in delta.tool_calls:
            self._add_call(call)

    def message(self) -> dict[str, Any]:
        """The assistant's message; `content` is null when nothing but calls was said."""
        text, reasoning = "".join(self.texts), "".join(self.reasoning_texts)
        is_silent = not text and bool(self.calls)
        message: dict[str, Any] = {
            "role": "assistant",
            "content": None if is_silent else text,
            "refusal": None,
        }
        if self.calls:
            message["tool_calls"] = list(self.calls.values())
        if reasoning:
            message["reasoning"] = message["reasoning_content"] = reasoning
        if self.thoughts:
            message["reasoning_details"] = self.thoughts
        return message

    def _add_call(self, delta: ToolCallDelta) -> None:
        call = self.calls.setdefault(
            delta.index,
            {"id": delta.id, "type": "function", "function": {"name": "", "arguments": ""}},
        )
        call["function"]["name"] += delta.name or ""
        call["function"]["arguments"] += delta.arguments


async def chat_completion(
    events: AsyncIterator[ChatEvent],
    *,
    model: str,
    n: int,
    has_logprobs: bool,
    tell: Tell | None = None,
) -> dict[str, Any]:
    """The whole answer of `n` choices, with the warnings where there is a way to `tell` them."""
    answers = [ChoiceText() for _ in range(n)]
    usage: Usage | None = None
    warnings: list[Notice] = []
    for event in await gathered(events):
        if isinstance(event, Usage):
            usage = event
            continue
        warnings += event.warnings
        if event.passed_on:
            passed: dict[str, Any] = json.loads(event.passed_on)
            return passed | _told(warnings, tell)
        answers[event.index].add(event)
    choices = [
        {
            "index": index,
            "message": answer.message(),
            "logprobs": {"content": answer.logprobs, "refusal": None} if has_logprobs else None,
            "finish_reason": answer.finish_reason,
        }
        for index, answer in enumerate(answers)
    ]
    answer = {
        "id": f"chatcmpl-{random_hex(12)}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "system_fingerprint": usage.fingerprint if usage else None,
        "choices": choices,
        "usage": usage_object(usage) if usage else None,
    }
    return answer | _told(warnings, tell)


def _told(warnings: list[Notice], tell: Tell | None) -> dict[str, Any]:
    return {"warnings": tell(warnings)} if tell and warnings else {}


async def chat_chunks(
    events: AsyncIterator[ChatEvent], *, model: str, n: int, wants_usage: bool, tell: Tell
) -> AsyncGenerator[bytes]:
    """SSE frames: deltas, of which a choice's first has the role and its last the warnings, usage
    when asked, `[DONE]`.

    The role has no frame of its own: that would be one more write before the first token.
    """
    head: dict[str, Any] = {
        "id": f"chatcmpl-{random_hex(12)}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": model,
    }
    silent = set(range(n))
    warnings: list[str] = []
    is_passed_on = False
    async with closing(events):
        async for event in events:
            if isinstance(event, Usage):
                if wants_usage and not is_passed_on:
                    yield frame(head | {"choices": [], "usage": usage_object(event)})
                continue
            warnings += tell(event.warnings) if event.warnings else ()
            if event.passed_on:
                if warnings and not is_passed_on:
                    yield frame(head | {"choices": [], "warnings": warnings})
                is_passed_on = True
                yield event.passed_on
            elif not event.warnings or _says_something(event):
                for choice in _delta_choices(event, is_first=event.index in silent):
                    yield frame(head | choice | _told_last(choice, warnings))
                silent.discard(event.index)
    if not is_passed_on:
        yield DONE


def _told_last(choice: dict[str, Any], warnings: list[str]) -> dict[str, Any]:
    is_last = choice["choices"][0]["finish_reason"] is not None
    return {"warnings": warnings} if warnings and is_last else {}


def _says_something(event: ChatDelta) -> bool:
    has_text = event.text or event.reasoning or event.thought
    return bool(has_text or event.tool_calls or event.finish_reason)


def _delta_choices(event: ChatDelta, *, is_first: bool) -> list[dict[str, Any]]:
    """The content and, apart from it, the end of a choice."""
    delta: dict[str, Any] = {"role": "assistant", "content": ""} if is_first else {}
    if event.text:
        delta["content"] = event.text
    if event.reasoning:
        delta["reasoning"] = delta["reasoning_content"] = event.reasoning
    if event.thought is not None:
        delta["reasoning_details"] = [thought_detail(event)]
    if event.tool_calls:
        delta["tool_calls"] = [_call_chunk(call) for call in event.tool_calls]
    logprobs = [logprob_object(item) for item in event.logprobs]
    choices = []
    if delta or logprobs:
        choices.append(_choice(event.index, delta, logprobs=logprobs))
    if event.finish_reason:
        choices.append(_choice(event.index, {}, finish_reason=event.finish_reason))
    return choices


def _choice(
    index: int,
    delta: dict[str, Any],
    *,
    logprobs: list[dict[str, Any]] | None = None,
    finish_reason: str | None = None,
) -> dict[str, Any]:
    content = {"content": logprobs, "refusal": None} if logprobs else None
    choice = {"index": index, "delta": delta, "logprobs": content, "finish_reason": finish_reason}
    return {"choices": [choice]}


def _call_chunk(call: ToolCallDelta) -> dict[str, Any]:
    function: dict[str, Any] = {"arguments": call.arguments}
    if call.name is not None:
        function = {"name": call.name} | function
    chunk: dict[str, Any] = {"index": call.index, "function": function}
    return chunk | {"id": call.id, "type": "function"} if call.id is not None else chunk


def logprob_object(item: TokenLogprob) -> dict[str, Any]:
    """A token in `logprobs.content`; JSON has no minus infinity, so the floor is OpenAI's."""
    top = [_bare_logprob(other) for other in item.top]
    return _bare_logprob(item) | {"top_logprobs": top}


def _bare_logprob(item: TokenLogprob) -> dict[str, Any]:
    value = 0.0 if item.logprob is None else max(item.logprob, -9999.0)
    return {"token": item.token, "logprob": value, "bytes": list(item.token_bytes)}


def usage_object(usage: Usage) -> dict[str, Any]:
    """Token counts; details only where they are known."""
    value: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
    if usage.cached_tokens is not None:
        value["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    if usage.reasoning_tokens is not None:
        value["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return value
