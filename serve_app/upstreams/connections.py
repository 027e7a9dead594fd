"""Connecting to the hosts that providers name: every address but those of a cloud's metadata."""

import ipaddress
import socket
from functools import lru_cache

import httpcore
from aiohttp.abc import AbstractResolver, ResolveResult
from typing_extensions import override

from serve_app.blobs.addresses import resolve
from serve_app.core.addresses import Address, is_metadata
from serve_app.core.errors import UpstreamError


class ProviderAddresses(AbstractResolver):
    """Looks names up where an admin has said, on this machine and in private networks too. A
    connection is made to just what was found here, so that it cannot become another address later.
    """

    async def allowed_addresses(self, host: str, port: int) -> list[Address]:
        """The addresses of a host. UpstreamError when one is of a cloud's metadata, OSError when
        it has none.
        """
        try:
            addresses = await resolve(host, port)
        except httpcore.ConnectError as error:
            raise OSError(str(error)) from error
        for address in addresses:
            check_address(host, address)
        return addresses

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in await self.allowed_addresses(host, port)
        ]

    @override
    async def close(self) -> None:
        """There is nothing to close."""


@lru_cache(1024)
def check_literal(host: str) -> None:
    """UpstreamError for a host that is an address of a cloud's metadata itself: such a host is
    never looked up.
    """
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return
    check_address(host, address)


def check_address(host: str, address: Address) -> None:
    """UpstreamError for an address of a cloud's metadata."""
    if is_metadata(address):
        raise UpstreamError(
            f"the host {host!r} is an address of a cloud's metadata, which is not called"
        )
