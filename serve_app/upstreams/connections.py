"""Connecting to the hosts that providers name: every address but those of a cloud's metadata."""

from typing_extensions import override

from serve_app.blobs.addresses import AllowList, GuardedBackend, resolve
from serve_app.core.addresses import Address, is_metadata
from serve_app.core.errors import UpstreamError


class ProviderBackend(GuardedBackend):
    """Connects where an admin has said, on this machine and in private networks too. What a name
    stands for is looked up here once, so that it cannot become another address later.
    """

    def __init__(self, provider: str) -> None:
        super().__init__(AllowList(()), param="base_url")
        self._provider = provider

    @override
    async def allowed_addresses(self, host: str, port: int) -> list[Address]:
        """The addresses of a host. UpstreamError when one is of a cloud's metadata."""
        addresses = await resolve(host, port)
        if any(map(is_metadata, addresses)):
            raise UpstreamError(
                f"the host {host!r} is an address of a cloud's metadata, which is not called",
                provider=self._provider,
            )
        return addresses
