"""`BedrockForm`: how operations are spoken to models at Amazon Bedrock: to Anthropic's in their own
form, to others in the one that they share.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, cast

from serve_app.core.media import BlobStore
from serve_app.core.operation import Item, Operation
from serve_app.core.tasks import Task
from serve_app.core.text.chat import Chat, ChatDelta, ChatEvent
from serve_app.core.upstreams.exchange import (
    UpstreamCalls,
    UpstreamListing,
    UpstreamRefused,
    UpstreamRequest,
    UpstreamTarget,
)
from serve_app.core.upstreams.provider import BedrockSettings
from serve_app.core.upstreams.upstream_calls import ANTHROPIC_VERSION, call_url
from serve_app.runtime.streams import closing
from serve_app.upstreams.anthropic_events import chat_events
from serve_app.upstreams.anthropic_form import JSON_BODY, asked_chat, json_bytes, message_events
from serve_app.upstreams.anthropic_request import messages_request
from serve_app.upstreams.bedrock_events import EVENT_STREAM, bedrock_events
from serve_app.upstreams.bedrock_listing import bedrock_models
from serve_app.upstreams.bedrock_places import invoke_url, maker_of
from serve_app.upstreams.bedrock_signing import BedrockSigner
from serve_app.upstreams.converse_events import converse_events
from serve_app.upstreams.converse_request import converse_request

ANTHROPIC = "anthropic"
NO_SETTINGS = BedrockSettings()
BODY_VERSION = {"anthropic_version": "bedrock-2023-05-31"}
ACCEPT = (b"accept", EVENT_STREAM.encode())


class BedrockForm:
    """Satisfies `WireForm`. Images are read from `blobs`."""

    tasks: frozenset[Task] = frozenset({"chat"})

    def __init__(self, blobs: BlobStore, signer: BedrockSigner) -> None:
        self._blobs = blobs
        self._signer = signer

    def run(
        self, operation: Operation[Any, Item], target: UpstreamTarget, calls: UpstreamCalls
    ) -> AsyncIterator[Item]:
        """The deltas of a chat, which is all that there is."""
        chat = asked_chat(operation, target)
        return cast("AsyncIterator[Item]", self._chat(chat, target, calls))

    async def models(
        self, target: UpstreamTarget, calls: UpstreamCalls
    ) -> tuple[UpstreamListing, ...]:
        """Those of the settings, and what the account may list."""
        return await bedrock_models(target, calls, self._signer)

    async def _chat(
        self, operation: Chat, target: UpstreamTarget, calls: UpstreamCalls
    ) -> AsyncGenerator[ChatEvent]:
        settings = target.provider.settings or NO_SETTINGS
        is_mantle = settings.protocol == "mantle"
        if not is_mantle and maker_of(target.model) not in (None, ANTHROPIC):
            said = self._conversed(operation, target, calls)
            async with closing(said):
                async for item in said:
                    yield item
            return
        content, left_out = await messages_request(operation, target.model, self._blobs)
        if is_mantle:
            content |= {"model": target.model, "stream": True}
            url = call_url("anthropic", target.provider.base_url, "/messages")
            headers = (JSON_BODY, ANTHROPIC_VERSION)
        else:
            content |= BODY_VERSION
            url, headers = invoke_url(target.provider, target.model), (JSON_BODY, ACCEPT)
        request = UpstreamRequest("POST", url, headers, json_bytes(content))
        service = "bedrock-mantle" if is_mantle else "bedrock"
        request = await self._signer.signed(request, target, calls, service=service)
        async with calls.open(request) as response:
            events = message_events(response) if is_mantle else bedrock_events(response)
            async with closing(events):
                async for item in chat_events(events, left_out):
                    yield item

    async def _conversed(
        self, operation: Chat, target: UpstreamTarget, calls: UpstreamCalls
    ) -> AsyncGenerator[ChatEvent]:
        """Models of other makers. Some that have tools do not stream with them."""
        content, left_out = await converse_request(operation, target.model, self._blobs)
        body = json_bytes(content)
        verb, has_begun = "converse-stream", False
        while True:
            url = invoke_url(target.provider, target.model, verb)
            request = UpstreamRequest("POST", url, (JSON_BODY,), body)
            request = await self._signer.signed(request, target, calls, service="bedrock")
            try:
                async with calls.open(request) as response:
                    events = converse_events(response)
                    async with closing(events):
                        async for item in chat_events(events, left_out):
                            has_begun = True
                            yield _without_thought(item)
                return
            except UpstreamRefused as refused:
                is_unstreamed = refused.status == 400 and b"stream" in refused.body
                if has_begun or verb == "converse" or not is_unstreamed:
                    raise
            verb = "converse"


def _without_thought(item: ChatEvent) -> ChatEvent:
    """What a model of another maker thinks is signed by nobody, and does not go back to it."""
    if isinstance(item, ChatDelta) and item.thought is not None:
        return item.model_copy(update={"thought": None})
    return item
