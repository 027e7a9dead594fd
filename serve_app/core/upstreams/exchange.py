"""What is sent to a provider and comes back, and how a wire form turns operations into that.

A form knows what a vendor's API looks like and nothing of connections, keys that take turns,
fall-backs or Serve: it gets all that as `UpstreamCalls`, one key at a time.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import SecretStr

from serve_app.core.message import Message
from serve_app.core.operation import Item, Operation
from serve_app.core.tasks import Task
from serve_app.core.upstreams.provider import Provider
from serve_app.core.upstreams.upstream_calls import Header


@dataclass(frozen=True)
class UpstreamTarget:
    """Whom an operation is sent to: a provider, one of its models by the id that the provider has
    for it, and what to call it with. `credentials` are those of the settings, by their names.
    """

    provider: Provider
    model: str
    key: SecretStr | None = None
    credentials: Mapping[str, SecretStr] = field(default_factory=dict)


@dataclass(frozen=True)
class UpstreamRequest:
    """An HTTP request, complete but for the headers that every request has."""

    method: str
    url: str
    headers: tuple[Header, ...] = ()
    body: bytes = b""


class UpstreamResponse(Protocol):
    """A response whose status is below 400. Header names are lower case."""

    status: int
    headers: Mapping[str, str]

    async def read(self) -> bytes:
        """The whole body. UpstreamError when it is larger than a limit or ends early."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes, in pieces of any size. UpstreamError when it ends early, TimedOut
        when nothing comes for too long.
        """
        ...


class UpstreamRefused(Exception):
    """A response of status 400 and above, or a redirect, as the provider has sent it."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.headers = headers
        self.body = body


class UpstreamCalls(Protocol):
    """Sends requests to one provider. UpstreamRefused is raised for what is not answered with a
    status below 300, UpstreamError where there is no connection, TimedOut where it takes too long.
    """

    def open(self, request: UpstreamRequest) -> AbstractAsyncContextManager[UpstreamResponse]:
        """Send it; leaving the context before the body has ended cancels the request."""
        ...


class UpstreamListing(Message):
    """A model as a provider lists it. `task` is what it is for, as far as can be told."""

    id: str
    task: Task
    capabilities: tuple[str, ...] = ()
    created: float | None = None


class WireForm(Protocol):
    """How operations are spoken to one kind of provider."""

    tasks: frozenset[Task]
    """What its providers can be asked for; of the others, UnsupportedCapability is raised."""

    def run(
        self, operation: Operation[Any, Item], target: UpstreamTarget, calls: UpstreamCalls
    ) -> AsyncIterator[Item]:
        """The items of the operation's stream, as an engine of ours yields them. Errors are those
        of `calls`, UnsupportedCapability for what the vendor's API has no word for and that cannot
        be left out, and UpstreamError for a response that cannot be read. What is left out is told
        by a Notice.
        """
        ...

    async def models(
        self, target: UpstreamTarget, calls: UpstreamCalls
    ) -> tuple[UpstreamListing, ...]:
        """What the provider lists; `target.model` is empty."""
        ...
