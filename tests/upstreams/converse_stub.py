"""Bedrock's Converse API on a stub, whole and streamed, as AWS's own library reads it."""

import json
from collections.abc import Iterator
from typing import Any

from tests.upstreams.answers import StubAnswer

STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
STOPS |= {"content_filter": "guardrail_intervened"}


def usage(answer: StubAnswer) -> dict[str, int]:
    """Tokens of caches are counted apart."""
    fresh = answer.prompt_tokens - answer.cached_tokens
    return {
        "inputTokens": fresh,
        "outputTokens": answer.completion_tokens,
        "totalTokens": answer.prompt_tokens + answer.completion_tokens,
        "cacheReadInputTokens": answer.cached_tokens,
        "cacheWriteInputTokens": 0,
    }


def whole(answer: StubAnswer) -> dict[str, Any]:
    """The answer of `converse`."""
    content: list[dict[str, Any]] = []
    if answer.reasoning:
        content.append({"reasoningContent": {"reasoningText": {"text": answer.reasoning}}})
    if answer.text:
        content.append({"text": answer.text})
    for call in answer.calls:
        given = {"toolUseId": call.id, "name": call.name, "input": json.loads(call.arguments)}
        content.append({"toolUse": given})
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": STOPS[answer.finish],
        "usage": usage(answer),
        "metrics": {"latencyMs": 80},
    }


def events(answer: StubAnswer) -> Iterator[tuple[str, dict[str, Any]]]:
    """The names and contents of what `converse-stream` sends. Only calls have a beginning."""
    yield "messageStart", {"role": "assistant"}
    index = 0
    if answer.reasoning:
        yield _delta(index, reasoningContent={"text": answer.reasoning})
        yield "contentBlockStop", {"contentBlockIndex": index}
        index += 1
    if answer.text:
        for piece in answer.pieces:
            yield _delta(index, text=piece)
        yield "contentBlockStop", {"contentBlockIndex": index}
        index += 1
    for call in answer.calls:
        begun = {"toolUse": {"toolUseId": call.id, "name": call.name}}
        yield "contentBlockStart", {"contentBlockIndex": index, "start": begun}
        for part in (call.arguments[:7], call.arguments[7:]):
            yield _delta(index, toolUse={"input": part})
        yield "contentBlockStop", {"contentBlockIndex": index}
        index += 1
    yield "messageStop", {"stopReason": STOPS[answer.finish]}
    yield "metadata", {"usage": usage(answer), "metrics": {"latencyMs": 80}}


def _delta(index: int, **delta: Any) -> tuple[str, dict[str, Any]]:
    return "contentBlockDelta", {"contentBlockIndex": index, "delta": delta}


def problem(body: dict[str, Any], *, streams: bool, with_tools: bool) -> str | None:
    """What the API refuses, of what clients get wrong; `with_tools` where tools may be streamed."""
    blocks = [block for turn in body["messages"] for block in turn["content"]]
    calls = [block for block in blocks if {"toolUse", "toolResult"} & block.keys()]
    if calls and "toolConfig" not in body:
        return "The toolConfig field must be defined when using toolUse and toolResult."
    if "anthropic_version" in body or "model" in body:
        return "Malformed input request"
    if any(not block["text"].strip() for block in blocks if "text" in block):
        return "The text field in the ContentBlock object is blank."
    if streams and "toolConfig" in body and not with_tools:
        return "This model doesn't support tool use in streaming mode."
    return None
