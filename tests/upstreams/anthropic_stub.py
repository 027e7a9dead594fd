"""Stub of Anthropic's Messages API: https://platform.claude.com/docs/en/api/messages."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from tests.upstreams.answers import StubAnswer, StubRequest
from tests.upstreams.vendor_stub import SSE, Reply, VendorStub, sse

KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
STOPS |= {"content_filter": "refusal"}
ADAPTIVE = {"claude-opus-5-5", "claude-opus-4-7"}
"""Models that take neither sampling nor a budget for thinking."""
Event = dict[str, Any]


def stop_reason(answer: StubAnswer) -> str:
    """In the vendor's words."""
    if answer.stop_word is not None:
        return "stop_sequence"
    return STOPS.get(answer.finish, answer.finish)


def usage(answer: StubAnswer) -> dict[str, Any]:
    """`input_tokens` are those that came from no cache."""
    return {
        "input_tokens": answer.prompt_tokens - answer.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": answer.cached_tokens,
        "output_tokens": answer.completion_tokens,
        "output_tokens_details": {"thinking_tokens": answer.reasoning_tokens},
        "service_tier": "standard",
    }


def blocks(answer: StubAnswer) -> list[dict[str, Any]]:
    """The content of a message."""
    found: list[dict[str, Any]] = []
    if answer.reasoning:
        found.append({"type": "thinking", "thinking": answer.reasoning, "signature": "c2ln"})
    if answer.text:
        found.append({"type": "text", "text": answer.text, "citations": None})
    for call in answer.calls:
        given = json.loads(call.arguments)
        found.append({"type": "tool_use", "id": call.id, "name": call.name, "input": given})
    return found


def message(answer: StubAnswer, model: str) -> dict[str, Any]:
    """A whole answer."""
    refused = {"type": "refusal", "category": None, "explanation": answer.refusal}
    return {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": blocks(answer),
        "stop_reason": stop_reason(answer),
        "stop_sequence": answer.stop_word,
        "stop_details": refused if answer.refusal else None,
        "usage": usage(answer),
    }


def events(answer: StubAnswer, model: str) -> Iterator[Event]:
    """An answer as a stream. What message_start counts of the output is one token."""
    whole = message(answer, model)
    begun = whole | {"content": [], "stop_reason": None, "stop_sequence": None}
    begun["usage"] = usage(answer) | {"output_tokens": 1, "output_tokens_details": None}
    yield {"type": "message_start", "message": begun}
    for index, block in enumerate(whole["content"]):
        yield from _block_events(answer, block, index)
    names = ("stop_reason", "stop_sequence", "stop_details")
    delta = {name: whole[name] for name in names}
    yield {"type": "message_delta", "delta": delta, "usage": usage(answer)}
    yield {"type": "message_stop"}


def _block_events(answer: StubAnswer, block: dict[str, Any], index: int) -> Iterator[Event]:
    empty: dict[str, Any] = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}}
    empty["tool_use"] = {"input": {}}
    start = block | empty[block["type"]]
    yield {"type": "content_block_start", "index": index, "content_block": start}
    yield {"type": "ping"}
    for delta in _deltas(answer, block):
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def _deltas(answer: StubAnswer, block: dict[str, Any]) -> list[dict[str, Any]]:
    match block["type"]:
        case "text":
            return [{"type": "text_delta", "text": piece} for piece in answer.pieces]
        case "thinking":
            thought = {"type": "thinking_delta", "thinking": block["thinking"]}
            return [thought, {"type": "signature_delta", "signature": block["signature"]}]
        case _:
            text = next(each.arguments for each in answer.calls if each.id == block["id"])
            parts = ("", text[:7], text[7:])
            return [{"type": "input_json_delta", "partial_json": part} for part in parts]


class AnthropicStub(VendorStub):
    name, folder = "anthropic", ""

    def key_of(self, headers: dict[str, str]) -> str:
        return headers.get("x-api-key") or super().key_of(headers)

    def known_models(self) -> list[dict[str, Any]]:
        yes = {"supported": True}
        features = {"image_input": yes, "structured_outputs": yes, "thinking": yes}
        opus = {"id": "claude-opus-5-5", "display_name": "Claude Opus 5.5"}
        haiku = {"id": "claude-haiku-4-5-20251001", "display_name": "Claude Haiku 4.5"}
        rest = {"type": "model", "created_at": "2026-09-24T00:00:00Z", "lifecycle": "active"}
        return [opus | rest | {"capabilities": features, "max_tokens": 128_000}, haiku | rest]

    def error(self, status: int, message: str) -> Any:
        error = {"type": KINDS.get(status, "api_error"), "message": message}
        return {"type": "error", "error": error, "request_id": "req_011"}

    async def handle(self, request: StubRequest, reply: Reply) -> None:
        if "anthropic-version" not in request.headers:
            await reply.refuse(400, "anthropic-version: header is required")
        elif request.path == "/v1/models":
            await reply.json(self.page(request.query))
        elif request.path != "/v1/messages":
            await reply.refuse(404, "Not found")
        elif problem := self.problem(request.json, request.headers["anthropic-version"]):
            await reply.refuse(400, problem)
        elif request.json.get("stream") and self.streams:
            await reply.stream(self.frames(request, reply), SSE)
        else:
            await reply.json(message(self.answer, request.json["model"]))

    def problem(self, body: dict[str, Any], version: str) -> str | None:
        """What the API refuses, of what clients get wrong."""
        sampling = sorted({"temperature", "top_p", "top_k"} & body.keys())
        if sampling and version >= "2026-10-21":
            return f"{sampling[0]}: Extra inputs are not permitted"
        if sampling and body["model"] in ADAPTIVE:
            return f"`{sampling[0]}` is deprecated for this model."
        if body["model"] in ADAPTIVE and (body.get("thinking") or {}).get("type") == "enabled":
            return '"thinking.type.enabled" is not supported for this model.'
        if "max_tokens" not in body:
            return "max_tokens: Field required"
        if body["messages"][0]["role"] != "user":
            return "messages: first message must use the user role"
        thinking = body.get("thinking") or {}
        if thinking.get("budget_tokens", 0) >= body["max_tokens"]:
            return "`max_tokens` must be greater than `thinking.budget_tokens`"
        return None

    def page(self, query: str) -> dict[str, Any]:
        """One model per page, so that clients have to turn it."""
        after = query.partition("after_id=")[2].partition("&")[0]
        ids = [each["id"] for each in self.models]
        start = ids.index(after) + 1 if after else 0
        data = self.models[start : start + 1]
        last = data[-1]["id"] if data else None
        has_more = start + 1 < len(ids)
        return {"data": data, "has_more": has_more, "first_id": last, "last_id": last}

    async def frames(self, request: StubRequest, reply: Reply) -> AsyncIterator[bytes]:
        for event in events(self.answer, request.json["model"]):
            if event["type"] == "message_delta" and reply.trouble.mishap == "error_in_stream":
                yield sse(self.error(529, reply.trouble.message), "error")
                return
            yield sse(event, event["type"])
            await asyncio.sleep(self.answer.pause_s)
