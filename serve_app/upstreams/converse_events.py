"""The events of Bedrock's Converse API, as those of Anthropic's that say the same, so that one
reader understands both.
"""

import json
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any

from serve_app.core.errors import UpstreamError
from serve_app.core.upstreams.exchange import UpstreamResponse
from serve_app.upstreams.anthropic_form import object_in
from serve_app.upstreams.anthropic_messages import Object
from serve_app.upstreams.bedrock_events import EVENT_STREAM, event_payloads

STOPS: Mapping[str, str] = {"guardrail_intervened": "refusal", "content_filtered": "refusal"}
"""Reasons that have another name there."""
COUNTS: Mapping[str, str] = {
    "inputTokens": "input_tokens",
    "outputTokens": "output_tokens",
    "cacheReadInputTokens": "cache_read_input_tokens",
    "cacheWriteInputTokens": "cache_creation_input_tokens",
}


async def converse_events(response: UpstreamResponse) -> AsyncGenerator[Object]:
    """Of a streamed response, or of a whole one. UpstreamRefused for an exception in the stream."""
    if not response.headers.get("content-type", "").startswith(EVENT_STREAM):
        for event in _whole(object_in(await response.read())):
            yield event
        return
    async for kind, payload in event_payloads(response):
        for event in _events(kind, object_in(payload)):
            yield event


def _events(kind: str, content: Object) -> Iterator[Object]:
    index = content.get("contentBlockIndex", 0)
    match kind:
        case "contentBlockStart":
            if call := _object(_object(content, "start"), "toolUse"):
                yield {"type": "content_block_start", "index": index, "content_block": _call(call)}
        case "contentBlockDelta":
            for delta in _deltas(_object(content, "delta")):
                yield {"type": "content_block_delta", "index": index, "delta": delta}
        case "contentBlockStop":
            yield {"type": "content_block_stop", "index": index}
        case "messageStop":
            yield _stop(content)
        case "metadata":
            # The last one; nothing of it is said.
            yield {"type": "message_start", "message": {"usage": _usage(content)}}
            yield {"type": "message_stop"}


def _whole(content: Object) -> Iterator[Object]:
    blocks = _object(_object(content, "output"), "message").get("content")
    if not isinstance(blocks, list):
        raise UpstreamError("the provider's response has no message")
    for index, block in enumerate(blocks):
        if call := _object(block, "toolUse"):
            yield {"type": "content_block_start", "index": index, "content_block": _call(call)}
            told = json.dumps(call.get("input") or {}, ensure_ascii=False)
            delta = {"type": "input_json_delta", "partial_json": told}
            yield {"type": "content_block_delta", "index": index, "delta": delta}
            continue
        thought = _object(_object(block, "reasoningContent"), "reasoningText")
        for delta in _deltas({"text": block.get("text"), "reasoningContent": thought}):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield _stop(content)
    yield from _events("metadata", content)


def _deltas(delta: Object) -> Iterator[Object]:
    if isinstance(text := delta.get("text"), str) and text:
        yield {"type": "text_delta", "text": text}
    if isinstance(thought := _object(delta, "reasoningContent").get("text"), str) and thought:
        yield {"type": "thinking_delta", "thinking": thought}
    if isinstance(part := _object(delta, "toolUse").get("input"), str):
        yield {"type": "input_json_delta", "partial_json": part}


def _call(call: Object) -> Object:
    return {"type": "tool_use", "id": call.get("toolUseId"), "name": call.get("name"), "input": {}}


def _stop(content: Object) -> Object:
    reason = content.get("stopReason")
    return {"type": "message_delta", "delta": {"stop_reason": STOPS.get(str(reason), reason)}}


def _usage(content: Object) -> Object:
    told = _object(content, "usage")
    return {ours: told[theirs] for theirs, ours in COUNTS.items() if theirs in told}


def _object(holder: Any, name: str) -> Object:
    found = holder.get(name) if isinstance(holder, dict) else None
    return found if isinstance(found, dict) else {}
