"""Responses in OpenAI's form."""

import base64
from collections.abc import Iterable
from typing import Any

USAGE = {
    "prompt_tokens": 5,
    "completion_tokens": 2,
    "total_tokens": 7,
    "prompt_tokens_details": {"cached_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 1},
}


def chunk(
    delta: dict[str, Any] | None = None, *, index: int = 0, end: str | None = None, **more: Any
) -> dict[str, Any]:
    choice = {"index": index, "delta": delta or {}, "finish_reason": end} | more
    return {"id": "c", "object": "chat.completion.chunk", "choices": [choice]}


def chat_events(*texts: str, usage: Any = USAGE) -> Iterable[dict[str, Any]]:
    yield chunk({"role": "assistant", "content": ""})
    yield from (chunk({"content": text}) for text in texts)
    yield chunk(end="stop")
    yield {"choices": [], "usage": usage, "system_fingerprint": "fp_1"}


def chat_body(model: str, text: str = "Hi", **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}]} | fields


PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
