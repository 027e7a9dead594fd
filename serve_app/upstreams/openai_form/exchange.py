"""Requests in OpenAI's form, and what is in the responses."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from serve_app.core.errors import UpstreamError
from serve_app.core.upstreams.exchange import (
    UpstreamCalls,
    UpstreamRequest,
    UpstreamResponse,
    UpstreamTarget,
)
from serve_app.core.upstreams.hops import next_hop
from serve_app.core.upstreams.provider import ProviderType
from serve_app.core.upstreams.upstream_calls import call_headers, call_url
from serve_app.core.upstreams.upstream_errors import said_in, without_secrets

Object = dict[str, Any]
JSON = b"application/json"
OWN_SERVER: frozenset[ProviderType] = frozenset({"openai-compat"})
"""Types whose servers know llama.cpp's and vLLM's fields as well."""
GATEWAYS: frozenset[ProviderType] = frozenset({"openai-compat", "openrouter", "vercel"})
"""Types whose servers have models of several makers, and the fields that those share."""


class OpenAIExchange:
    """Speaks to one provider with one key."""

    def __init__(self, target: UpstreamTarget, calls: UpstreamCalls) -> None:
        self.target = target
        self.kind = target.provider.type
        self.name = target.provider.name
        self.calls = calls

    async def get(self, path: str) -> Object:
        """The object at a path below the base URL."""
        async with self.calls.open(self._request("GET", path)) as response:
            return self.object_in(await response.read())

    async def post(self, path: str, content: Mapping[str, Any]) -> Object:
        """The object that is responded with."""
        async with self.opened(path, content) as response:
            return self.object_in(await response.read())

    @asynccontextmanager
    async def opened(
        self, path: str, content: Mapping[str, Any] | bytes, content_type: bytes = JSON
    ) -> AsyncGenerator[UpstreamResponse]:
        """The response to an object, or to a body of another type."""
        body = content if isinstance(content, bytes) else _written(content)
        request = self._request("POST", path, (b"content-type", content_type), body=body)
        async with self.calls.open(request) as response:
            yield response

    @asynccontextmanager
    async def requested(self, method: str, path: str) -> AsyncGenerator[UpstreamResponse]:
        """The response to a request without a body."""
        async with self.calls.open(self._request(method, path)) as response:
            yield response

    def state_in(self, body: bytes) -> Object:
        """An object, which may tell of a failure. UpstreamError for what is none."""
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise self.unreadable("is no JSON object")
        return content

    def object_in(self, body: bytes) -> Object:
        """UpstreamError for what is no JSON object, or an error."""
        content = self.state_in(body)
        if content.get("error"):
            raise self.failure(body)
        return content

    def failure(self, body: bytes) -> UpstreamError:
        """Of an error that comes with a successful status, or in a stream."""
        keys = (self.target.key,) if self.target.key else ()
        said = without_secrets(said_in(body).message, keys) or "no message"
        return UpstreamError(f"provider {self.name!r} failed: {said}", provider=self.name)

    def unreadable(self, what: str) -> UpstreamError:
        """Of a response that is not as the form says."""
        return UpstreamError(f"the response of provider {self.name!r} {what}", provider=self.name)

    def _request(
        self, method: str, path: str, *headers: tuple[bytes, bytes], body: bytes = b""
    ) -> UpstreamRequest:
        own = call_headers(self.kind, self.target.key)
        if self.kind in OWN_SERVER:
            own.append(next_hop())
        url = call_url(self.kind, self.target.provider.base_url, f"/{path}")
        return UpstreamRequest(method, url, (*own, *headers), body)


def is_event_stream(response: UpstreamResponse) -> bool:
    """Whether it comes as server-sent events."""
    return response.headers.get("content-type", "").startswith("text/event-stream")


def _written(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
