"""Chat: one request, whose response is streamed."""

from collections.abc import AsyncGenerator
from typing import Any

from serve_app.core.media import BlobStore
from serve_app.core.text.chat import (
    Chat,
    ChatDelta,
    ChatEvent,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)
from serve_app.runtime.streams import closing
from serve_app.upstreams.openai_form.chat_request import chat_request, sent_request
from serve_app.upstreams.openai_form.exchange import (
    Object,
    OpenAIExchange,
    is_event_stream,
)
from serve_app.upstreams.openai_form.passed_chat import passed_back
from serve_app.upstreams.openai_form.text_events import (
    finish_reason,
    objects,
    text,
    usage_in,
)

UNKNOWN_TOKEN = -1


async def chat(
    operation: Chat, exchange: OpenAIExchange, blobs: BlobStore
) -> AsyncGenerator[ChatEvent]:
    """The deltas, and last the usage if the provider tells it."""
    sent = sent_request(operation)
    content, left_out = await chat_request(operation, sent, exchange, blobs)
    usage: Usage | None = None
    fingerprint: str | None = None
    async with exchange.opened("chat/completions", content) as response:
        if left_out:
            yield ChatDelta(warnings=left_out)
        if operation.as_sent is not None and is_event_stream(response) == content["stream"]:
            passed = passed_back(sent, exchange, response)
            async with closing(passed):
                async for piece in passed:
                    yield piece
            return
        events = objects(exchange, response)
        async with closing(events):
            async for event in events:
                usage = usage_in(event) or usage
                fingerprint = text(event.get("system_fingerprint")) or fingerprint
                for choice in event.get("choices") or ():
                    delta = _delta(choice) if isinstance(choice, dict) else None
                    if delta is not None:
                        yield delta
    if usage is not None:
        yield usage.model_copy(update={"fingerprint": usage.fingerprint or fingerprint})


def _delta(choice: Object) -> ChatDelta | None:
    said = choice.get("delta") or choice.get("message")
    said = said if isinstance(said, dict) else {}
    index = choice.get("index")
    calls = said.get("tool_calls")
    delta = ChatDelta(
        index=index if isinstance(index, int) else 0,
        text=text(said.get("content")) or text(said.get("refusal")),
        reasoning=text(said.get("reasoning_content")) or text(said.get("reasoning")),
        tool_calls=tuple(
            _call(call, place)
            for place, call in enumerate(calls if isinstance(calls, list) else ())
            if isinstance(call, dict)
        ),
        logprobs=_logprobs(choice.get("logprobs")),
        finish_reason=finish_reason(choice),
    )
    has_content = delta.text or delta.reasoning or delta.tool_calls or delta.logprobs
    return delta if has_content or delta.finish_reason else None


def _call(call: Object, place: int) -> ToolCallDelta:
    """Google leaves the index out, and sends every call whole."""
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    index = call.get("index")
    return ToolCallDelta(
        index=index if isinstance(index, int) else place,
        id=text(call.get("id")) or None,
        name=text(function.get("name")) or None,
        arguments=text(function.get("arguments")),
    )


def _logprobs(said: Any) -> tuple[TokenLogprob, ...]:
    content = said.get("content") if isinstance(said, dict) else None
    return tuple(
        token_logprob(each, tuple(map(token_logprob, each.get("top_logprobs") or ())))
        for each in content or ()
        if isinstance(each, dict)
    )


def token_logprob(each: Object, top: tuple[TokenLogprob, ...] = ()) -> TokenLogprob:
    """One token; which number it has is not told."""
    codes = each.get("bytes")
    token = text(each.get("token"))
    logprob = each.get("logprob")
    return TokenLogprob(
        token=token,
        token_id=UNKNOWN_TOKEN,
        logprob=float(logprob) if isinstance(logprob, int | float) else None,
        token_bytes=bytes(codes) if isinstance(codes, list) else token.encode(),
        top=top,
    )
