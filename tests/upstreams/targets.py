"""Chats, and whom they are sent to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pydantic import SecretStr

from serve_app.core.notices import Notice
from serve_app.core.text.chat import Chat, ChatDelta, ChatEvent, ChatMessage, TextPart, Usage
from serve_app.core.upstreams.exchange import UpstreamCalls, UpstreamTarget, WireForm
from serve_app.core.upstreams.provider import BedrockSettings, Provider, ProviderType
from serve_app.core.upstreams.timeouts import UpstreamTimeouts
from serve_app.upstreams.client import UpstreamClient


def target(
    kind: ProviderType, base_url: str, model: str = "", key: str | None = "sk-1", **rest: Any
) -> UpstreamTarget:
    """A provider called `far`, one of its models and a key."""
    settings = BedrockSettings(**rest.pop("settings")) if "settings" in rest else None
    provider = Provider(
        id="1",
        type=kind,
        name="far",
        display_name="",
        icon="",
        enabled=True,
        base_url=base_url,
        api_keys=(),
        settings=settings,
        revision=1,
        created_at=0.0,
        updated_at=0.0,
    )
    secrets = {name: SecretStr(value) for name, value in rest.items()}
    return UpstreamTarget(provider, model, SecretStr(key) if key else None, secrets)


def said(role: Any, text: str, **fields: Any) -> ChatMessage:
    """A message."""
    return ChatMessage(role=role, content=(TextPart(text=text),), **fields)


def asking(*messages: ChatMessage, **fields: Any) -> Chat:
    """A chat; without messages it says hello."""
    return Chat(model="far/m", messages=messages or (said("user", "Hello"),), **fields)


@asynccontextmanager
async def provider_calls(read_s: float = 30) -> AsyncIterator[UpstreamCalls]:
    """The product's client."""
    client = UpstreamClient()
    try:
        yield client.calls("far", UpstreamTimeouts(read_s=read_s))
    finally:
        await client.close()


async def answered(
    form: WireForm, chat: Chat, whom: UpstreamTarget, read_s: float = 30
) -> list[ChatEvent]:
    """All that comes."""
    async with provider_calls(read_s) as calls:
        return [item async for item in form.run(chat, whom, calls)]


def deltas(events: list[ChatEvent]) -> list[ChatDelta]:
    return [event for event in events if isinstance(event, ChatDelta)]


def text_of(events: list[ChatEvent]) -> str:
    return "".join(delta.text for delta in deltas(events))


def notices_of(events: list[ChatEvent]) -> list[Notice]:
    return [notice for delta in deltas(events) for notice in delta.warnings]


def usage_of(events: list[ChatEvent]) -> Usage:
    assert isinstance(events[-1], Usage)
    return events[-1]
