"""Plain completion."""

from collections.abc import AsyncGenerator
from typing import Any

from serve_app.core.errors import UnsupportedCapability
from serve_app.core.text.chat import ChatDelta, ChatEvent, Complete, TokenLogprob, Usage
from serve_app.runtime.streams import closing
from serve_app.upstreams.openai_form.chat import token_logprob
from serve_app.upstreams.openai_form.exchange import Object, OpenAIExchange
from serve_app.upstreams.openai_form.sampling import format_fields, sampling_fields
from serve_app.upstreams.openai_form.text_events import finish_reason, objects, text, usage_in


async def complete(operation: Complete, exchange: OpenAIExchange) -> AsyncGenerator[ChatEvent]:
    """The deltas of all choices, and last the usage if the provider tells it."""
    fields, left_out = sampling_fields(operation.sampling, exchange.kind)
    usage: Usage | None = None
    async with exchange.opened("completions", _content(operation, exchange, fields)) as response:
        if left_out:
            yield ChatDelta(warnings=left_out)
        events = objects(exchange, response)
        async with closing(events):
            async for event in events:
                usage = usage_in(event) or usage
                for choice in event.get("choices") or ():
                    if isinstance(choice, dict):
                        yield _delta(choice)
    if usage is not None:
        yield usage


def _content(operation: Complete, exchange: OpenAIExchange, fields: Object) -> Object:
    sampling = operation.sampling
    content: Object = {
        "model": exchange.target.model,
        "prompt": _prompt(operation),
        **fields,
        **format_fields(operation.response_format, exchange.kind),
    }
    # The best of several is known at the end only.
    if operation.best_of is None:
        content |= {"stream": True, "stream_options": {"include_usage": True}}
    given = {
        "best_of": operation.best_of,
        "suffix": operation.suffix,
        "echo": operation.echo or None,
        "max_tokens": sampling.max_tokens,
        "logprobs": sampling.logprobs,
    }
    return content | {name: value for name, value in given.items() if value is not None}


def _prompt(operation: Complete) -> Any:
    prompts = operation.prompts
    if any(not isinstance(each, str) and any(isinstance(x, str) for x in each) for each in prompts):
        raise UnsupportedCapability(
            "providers take a prompt as text or as tokens, not as a mixture", param="prompts"
        )
    return prompts[0] if len(prompts) == 1 else list(prompts)


def _delta(choice: Object) -> ChatDelta:
    index = choice.get("index")
    return ChatDelta(
        index=index if isinstance(index, int) else 0,
        text=text(choice.get("text")),
        logprobs=_logprobs(choice.get("logprobs")),
        finish_reason=finish_reason(choice),
    )


def _logprobs(said: Any) -> tuple[TokenLogprob, ...]:
    """Lists beside each other, in the old form."""
    if not isinstance(said, dict):
        return ()
    tokens, values = said.get("tokens") or (), said.get("token_logprobs") or ()
    tops = said.get("top_logprobs") or [None] * len(tokens)
    return tuple(
        token_logprob(
            {"token": token, "logprob": value},
            tuple(token_logprob({"token": t, "logprob": v}) for t, v in (top or {}).items()),
        )
        for token, value, top in zip(tokens, values, tops, strict=False)
    )
