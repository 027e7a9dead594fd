"""What calls providers, over a Serve handle."""

from typing import Any, cast

from ray.serve.handle import DeploymentHandle

from serve_app.core.config import UPSTREAMS
from serve_app.core.upstreams.directory import ProviderListing
from serve_app.remote.family import Remote, remote_errors


class RemoteUpstreams(Remote):
    """Satisfies `UpstreamService`."""

    def __init__(self, handle: DeploymentHandle[Any]) -> None:
        super().__init__(UPSTREAMS, handle)
        self._listings_handle = handle.options(method_name="listings")

    async def listings(self, provider: str | None = None) -> tuple[ProviderListing, ...]:
        """What providers list now."""
        with remote_errors(self.name):
            found = await self._listings_handle.remote(provider)
        return cast("tuple[ProviderListing, ...]", found)

    async def close(self) -> None:
        """The connections are those of the replicas."""
