"""Which network addresses the server may fetch from for a caller, and connecting to just those."""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable

import httpcore
from typing_extensions import override

from serve_app.core.addresses import Address, wrapped
from serve_app.core.errors import InvalidRequest


def is_public(address: Address) -> bool:
    """Whether an address is a host of the public internet.

    Everything that the IANA registries name as special is refused, and so are IPv6 addresses that
    only wrap an IPv4 address (mapped, 6to4, NAT64, Teredo) unless that one is public.
    """
    inner = wrapped(address)
    if inner is not None:
        return is_public(inner)
    if isinstance(address, ipaddress.IPv6Address) and (
        address.teredo is not None or address.is_site_local
    ):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


class AllowList:
    """Private places an operator opened: host names, `host:port`, addresses or networks."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._names: set[str] = set()
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for entry in entries:
            try:
                self._networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                self._names.add(entry.lower())

    def has(self, host: str, port: int, address: Address) -> bool:
        """Whether this host, at this port or any, or this address was opened."""
        name = host.lower()
        if name in self._names or f"{name}:{port}" in self._names:
            return True
        return any(address in network for network in self._networks)


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were resolved and checked here, so that no second look-up of the
    name can give another one.
    """

    def __init__(self, allowed: AllowList, *, param: str, instead: str = "") -> None:
        """`instead` is what a caller can do about an address that is refused."""
        self._allowed = allowed
        self._param = param
        self._instead = instead
        self._inner = httpcore.AnyIOBackend()

    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Every address of the name must be allowed; they are tried in order."""
        error: Exception | None = None
        for address in await self.allowed_addresses(host, port):
            try:
                return await self._inner.connect_tcp(
                    str(address),
                    port,
                    timeout=timeout,
                    local_address=local_address,
                    socket_options=socket_options,
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failure:
                error = failure
        raise error or httpcore.ConnectError("no address")

    @override
    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)

    async def allowed_addresses(self, host: str, port: int) -> list[Address]:
        """The addresses of a host, all of them allowed. InvalidRequest when one is not."""
        addresses = await resolve(host, port)
        for address in addresses:
            if not is_public(address) and not self._allowed.has(host, port, address):
                raise InvalidRequest(
                    f"the host {host!r} is not on the public internet",
                    remedy=f"{self._instead}ask the operator to add it to limits.fetch_allow",
                    param=self._param,
                )
        return addresses


async def resolve(host: str, port: int) -> list[Address]:
    """Every address of a name, in the resolver's order. httpcore.ConnectError when it has none."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(f"{host!r} cannot be resolved") from error
    # A scope id ("fe80::1%eth0") is not part of the address.
    texts = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
    return [ipaddress.ip_address(text) for text in texts]
