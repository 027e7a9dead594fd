"""`AnthropicForm`: how operations are spoken to Anthropic's Messages API."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from datetime import datetime
from typing import Any, cast
from urllib.parse import quote

from serve_app.core.errors import UnsupportedCapability, UpstreamError
from serve_app.core.media import BlobStore
from serve_app.core.operation import Item, Operation
from serve_app.core.tasks import Task
from serve_app.core.text.chat import Chat, ChatEvent
from serve_app.core.upstreams.exchange import (
    UpstreamCalls,
    UpstreamListing,
    UpstreamRequest,
    UpstreamResponse,
    UpstreamTarget,
)
from serve_app.core.upstreams.upstream_calls import Header, call_headers, call_url
from serve_app.runtime.streams import closing
from serve_app.upstreams.anthropic_events import chat_events, whole_answer_events
from serve_app.upstreams.anthropic_messages import Object
from serve_app.upstreams.anthropic_request import messages_request
from serve_app.upstreams.server_sent_events import server_sent_events

JSON_BODY: Header = (b"content-type", b"application/json")
MOST_PAGES = 20
VISION = "image_to_text"


class AnthropicForm:
    """Satisfies `WireForm`. Images are read from `blobs`."""

    tasks: frozenset[Task] = frozenset({"chat"})

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def run(
        self, operation: Operation[Any, Item], target: UpstreamTarget, calls: UpstreamCalls
    ) -> AsyncIterator[Item]:
        """The deltas of a chat, which is all that there is."""
        chat = asked_chat(operation, target)
        return cast("AsyncIterator[Item]", self._chat(chat, target, calls))

    async def models(
        self, target: UpstreamTarget, calls: UpstreamCalls
    ) -> tuple[UpstreamListing, ...]:
        """What `/v1/models` has, page by page."""
        found: list[UpstreamListing] = []
        query = "limit=1000"
        for _ in range(MOST_PAGES):
            url = call_url("anthropic", target.provider.base_url, "/models")
            url += f"{'&' if '?' in url else '?'}{query}"
            request = UpstreamRequest("GET", url, tuple(call_headers("anthropic", target.key)))
            async with calls.open(request) as response:
                page = object_in(await response.read())
            found += _listings(page)
            if not page.get("has_more") or not page.get("last_id"):
                break
            query = f"limit=1000&after_id={quote(str(page['last_id']), safe='')}"
        return tuple(found)

    async def _chat(
        self, operation: Chat, target: UpstreamTarget, calls: UpstreamCalls
    ) -> AsyncGenerator[ChatEvent]:
        content, left_out = await messages_request(operation, target.model, self._blobs)
        content |= {"model": target.model, "stream": True}
        headers = (*call_headers("anthropic", target.key), JSON_BODY)
        url = call_url("anthropic", target.provider.base_url, "/messages")
        request = UpstreamRequest("POST", url, headers, json_bytes(content))
        async with calls.open(request) as response:
            events = message_events(response)
            async with closing(events):
                async for item in chat_events(events, left_out):
                    yield item


def asked_chat(operation: Operation[Any, Any], target: UpstreamTarget) -> Chat:
    """UnsupportedCapability where it is no chat."""
    if isinstance(operation, Chat):
        return operation
    raise UnsupportedCapability(
        f"provider {target.provider.name!r} has no request for {operation.name!r}",
        remedy="its models answer chats",
        param="model",
    )


async def message_events(response: UpstreamResponse) -> AsyncGenerator[Object]:
    """The objects of a streamed answer; of one that was not streamed, what they would have been."""
    if not response.headers.get("content-type", "").startswith("text/event-stream"):
        for whole in whole_answer_events(object_in(await response.read())):
            yield whole
        return
    events = server_sent_events(response.chunks())
    async for event in events:
        yield object_in(event.data)


def object_in(data: bytes) -> Object:
    """UpstreamError for what is no JSON object."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise UpstreamError("the provider's response is no JSON object")
    return content


def json_bytes(content: Object) -> bytes:
    """As it is sent."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _listings(page: Object) -> Iterator[UpstreamListing]:
    data = page.get("data")
    if not isinstance(data, list):
        raise UpstreamError("the provider's response has no list of models")
    for entry in data:
        if isinstance(entry, dict) and isinstance(entry.get("id"), str):
            seen = (VISION,) if _sees(entry) else ()
            created = _time(entry.get("created_at"))
            yield UpstreamListing(id=entry["id"], task="chat", capabilities=seen, created=created)


def _sees(entry: Object) -> bool:
    """Models that do not say otherwise see images: all that are to be had do."""
    able = entry.get("capabilities")
    images = able.get("image_input") if isinstance(able, dict) else None
    return not isinstance(images, dict) or images.get("supported") is not False


def _time(text: Any) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError):
        return None
