"""What is known of providers where models are looked up: no addresses and no keys."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from typing_extensions import override

from serve_app.core.message import Message
from serve_app.core.operation import OperationRunner
from serve_app.core.upstreams.exchange import UpstreamListing
from serve_app.core.upstreams.provider import ProviderType


class ProviderListing(Message):
    """What a provider lists now: its models, or why there are none. `at` is a unix second, `took_s`
    how long the provider took.
    """

    provider: str
    models: tuple[UpstreamListing, ...] = ()
    error: str | None = None
    at: float
    took_s: float = 0.0


class UpstreamDirectory(Protocol):
    """Everything is known already; nothing is waited for."""

    def providers(self) -> Mapping[str, ProviderType]:
        """The enabled ones, by name."""
        ...

    def listed(self, id: str) -> UpstreamListing | None:
        """What a provider has last said of a model, `<provider>/<upstream id>`."""
        ...

    def every(self) -> Mapping[str, UpstreamListing]:
        """All that is listed, by such ids."""
        ...


class UpstreamService(OperationRunner, Protocol):
    """What calls providers."""

    async def listings(self, provider: str | None = None) -> tuple[ProviderListing, ...]:
        """What enabled providers list now, or what one of them does, which may be disabled.
        NotFound for one that there is not.
        """
        ...

    async def close(self) -> None:
        """Let go of all connections."""
        ...


class NoUpstreams:
    """Satisfies `UpstreamDirectory` where there are no providers."""

    def providers(self) -> Mapping[str, ProviderType]:
        """None."""
        return {}

    def listed(self, id: str) -> UpstreamListing | None:  # noqa: ARG002
        """Nothing."""
        return None

    def every(self) -> Mapping[str, UpstreamListing]:
        """Nothing."""
        return {}


class AnyUpstreams(NoUpstreams):
    """Where operations come that were looked up before: every name is taken for a provider's, and
    whoever calls it sees whether it is.
    """

    @override
    def providers(self) -> Mapping[str, ProviderType]:
        return AnyProvider()


class AnyProvider(Mapping[str, ProviderType]):
    """Has every name; none is listed."""

    @override
    def __getitem__(self, name: str) -> ProviderType:
        return "openai-compat"

    @override
    def __contains__(self, name: object) -> bool:
        return True

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(())

    @override
    def __len__(self) -> int:
        return 0
