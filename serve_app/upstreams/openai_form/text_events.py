"""The events of a streamed response: the objects in it, and what they have in common."""

from collections.abc import AsyncGenerator
from typing import Any, get_args

from serve_app.core.text.chat import FinishReason, Usage
from serve_app.core.upstreams.exchange import UpstreamResponse
from serve_app.upstreams.openai_form.exchange import Object, OpenAIExchange, is_event_stream
from serve_app.upstreams.server_sent_events import server_sent_events

DONE = b"[DONE]"
REASONS = frozenset(get_args(FinishReason))


async def objects(exchange: OpenAIExchange, response: UpstreamResponse) -> AsyncGenerator[Object]:
    """Every object of the stream; a server that does not stream sends one. UpstreamError for an
    error in between, and for a stream that ends before it says so.
    """
    if not is_event_stream(response):
        yield exchange.object_in(await response.read())
        return
    has_ended = False
    async for event in server_sent_events(response.chunks()):
        if event.data.strip() == DONE:
            return
        content = exchange.object_in(event.data)
        choices = content.get("choices") or ()
        # Some servers leave [DONE] out.
        has_ended = has_ended or any(finish_reason(choice) for choice in choices)
        yield content
    if not has_ended:
        raise exchange.unreadable("ended early")


def finish_reason(choice: Any) -> FinishReason | None:
    """Why a choice has ended, in OpenAI's words; other servers have more."""
    said = choice.get("finish_reason") if isinstance(choice, dict) else None
    if not isinstance(said, str):
        return None
    if said in REASONS:
        return said  # type: ignore[return-value]
    return "tool_calls" if said in ("function_call", "tool_use") else "stop"


def usage_in(content: Object) -> Usage | None:
    """The token counts, if the object has them."""
    usage = content.get("usage")
    if not isinstance(usage, dict):
        return None
    prompt = usage.get("prompt_tokens_details") or {}
    completion = usage.get("completion_tokens_details") or {}
    return Usage(
        prompt_tokens=count(usage.get("prompt_tokens")) or 0,
        completion_tokens=count(usage.get("completion_tokens")) or 0,
        cached_tokens=count(prompt.get("cached_tokens")) if isinstance(prompt, dict) else None,
        reasoning_tokens=(
            count(completion.get("reasoning_tokens")) if isinstance(completion, dict) else None
        ),
        fingerprint=text(content.get("system_fingerprint")) or None,
    )


def count(value: Any) -> int | None:
    """A number of tokens."""
    return int(value) if isinstance(value, int | float) and 0 <= value < 2**53 else None


def text(value: Any) -> str:
    """A text, empty for what is none."""
    return value if isinstance(value, str) else ""
