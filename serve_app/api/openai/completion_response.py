"""Completions in OpenAI's shape: whole, and as a stream of the same object."""

import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from serve_app.api.openai.chat_response import usage_object
from serve_app.api.sse import DONE, frame
from serve_app.core.text.chat import ChatEvent, TokenLogprob, Usage
from serve_app.runtime.random_ids import random_hex
from serve_app.runtime.streams import closing


def text_completion(events: list[ChatEvent], *, model: str, count: int) -> dict[str, Any]:
    """The whole answer of `count` choices."""
    choices = [completion_choice(index) for index in range(count)]
    usage: Usage | None = None
    for event in events:
        if isinstance(event, Usage):
            usage = event
            continue
        choice = choices[event.index]
        if event.logprobs:
            choice["logprobs"] = with_logprobs(choice, event.logprobs)
        choice["text"] += event.text
        choice["finish_reason"] = event.finish_reason or choice["finish_reason"]
    return completion_head(model) | {
        "system_fingerprint": usage.fingerprint if usage else None,
        "choices": choices,
        "usage": usage_object(usage) if usage else None,
    }


async def completion_chunks(
    events: AsyncIterator[ChatEvent], *, model: str, wants_usage: bool
) -> AsyncGenerator[bytes]:
    """SSE frames of the same object; text offsets count from the start of each choice."""
    head = completion_head(model)
    offsets: dict[int, int] = {}
    async with closing(events):
        async for event in events:
            if isinstance(event, Usage):
                if wants_usage:
                    yield frame(head | {"choices": [], "usage": usage_object(event)})
                continue
            choice = completion_choice(event.index)
            if event.logprobs:
                offset = offsets.get(event.index, 0)
                choice["logprobs"] = with_logprobs(choice, event.logprobs, offset=offset)
            choice["text"] = event.text
            choice["finish_reason"] = event.finish_reason
            offsets[event.index] = offsets.get(event.index, 0) + len(event.text)
            yield frame(head | {"choices": [choice]})
    yield DONE


def completion_head(model: str) -> dict[str, Any]:
    """What a whole answer and every chunk begin with."""
    return {
        "id": f"cmpl-{random_hex(12)}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": model,
    }


def completion_choice(index: int) -> dict[str, Any]:
    """One that has said nothing yet."""
    return {"text": "", "index": index, "logprobs": None, "finish_reason": None}


def with_logprobs(
    choice: dict[str, Any], items: tuple[TokenLogprob, ...], *, offset: int = 0
) -> dict[str, Any]:
    """OpenAI's older shape: parallel lists, the alternatives as an object per token."""
    lists = choice["logprobs"] or {
        "tokens": [],
        "token_logprobs": [],
        "top_logprobs": [],
        "text_offset": [],
    }
    position = offset + len(choice["text"])
    for item in items:
        lists["tokens"].append(item.token)
        lists["token_logprobs"].append(_finite(item.logprob))
        lists["top_logprobs"].append({top.token: _finite(top.logprob) for top in item.top} or None)
        lists["text_offset"].append(position)
        position += len(item.token)
    return lists


def _finite(value: float | None) -> float | None:
    return None if value is None else max(value, -9999.0)
