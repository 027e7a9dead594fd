"""What calls providers, over a Serve handle."""

from collections.abc import AsyncGenerator
from typing import Any, cast

from ray.serve.handle import DeploymentHandle
from typing_extensions import override

from serve_app.core.config import UPSTREAMS
from serve_app.core.upstreams.directory import ProviderListing
from serve_app.core.upstreams.hops import HOPS
from serve_app.remote.family import Remote, remote_errors


class RemoteUpstreams(Remote):
    """Satisfies `UpstreamService`. Its replicas are told how many servers a request has passed."""

    def __init__(self, handle: DeploymentHandle[Any]) -> None:
        super().__init__(UPSTREAMS, handle)
        self._listings_handle = handle.options(method_name="listings")

    async def listings(self, provider: str | None = None) -> tuple[ProviderListing, ...]:
        """What providers list now."""
        with remote_errors(self.name):
            found = await self._listings_handle.remote(provider)
        return cast("tuple[ProviderListing, ...]", found)

    @override
    async def _once(
        self,
        handles: tuple[DeploymentHandle[Any], DeploymentHandle[Any]],
        verb: str,
        model_id: str,
        *arguments: object,
    ) -> Any:
        return await super()._once(handles, verb, model_id, *arguments, HOPS.get())

    @override
    def _stream(self, verb: str, model_id: str, *arguments: object) -> AsyncGenerator[Any]:
        return super()._stream(verb, model_id, *arguments, HOPS.get())

    async def close(self) -> None:
        """The connections are those of the replicas."""
