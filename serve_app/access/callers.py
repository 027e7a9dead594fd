"""Where a request comes from: address, scheme and host, behind whichever proxies."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network

from starlette.datastructures import Headers

Network = IPv4Network | IPv6Network
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
LOOPBACK: tuple[Network, ...] = (
    ipaddress.ip_network("127.0.0.0/8"),
    ipaddress.ip_network("::1/128"),
)
REMEMBERED = 512
"""Addresses that are not read anew for every request."""
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Caller:
    """Who speaks, as its user sees it. `host` is the `Host` that the browser asked for, `prefix`
    the path below which a proxy shows this server.
    """

    address: str
    scheme: str
    host: str
    prefix: str = ""

    @property
    def port(self) -> int:
        """The port in the browser's address bar."""
        port = self.host.rpartition(":")[2]
        if port.isascii() and port.isdecimal() and len(port) <= 5:
            return int(port)
        return DEFAULT_PORTS.get(self.scheme, 80)

    def is_origin(self, origin: str) -> bool:
        """Whether an `Origin` header names this server."""
        scheme, separator, host = origin.lower().partition("://")
        return bool(separator) and scheme == self.scheme and self._same_host(host)

    def _same_host(self, host: str) -> bool:
        default = f":{DEFAULT_PORTS.get(self.scheme, 80)}"
        return host.removesuffix(default) == self.host.lower().removesuffix(default)


@dataclass(frozen=True)
class Proxies:
    """What stands in front. `own` are the addresses of Serve's HAProxy, which appends the peer to
    `X-Forwarded-For` and passes on everything else unread; `trusted` are the listed proxies, whose
    forwarding headers are believed.
    """

    own: tuple[Network, ...] = ()
    trusted: tuple[Network, ...] = ()

    def neighbour(self, headers: Headers, peer: str | None) -> str:
        """The address next to this server, which no header can invent."""
        return self._nearest(headers, peer)[0]

    def caller(self, headers: Headers, peer: str | None, *, scheme: str) -> Caller:
        """Who is behind the connection of `peer`."""
        address, hops = self._nearest(headers, peer)
        host = headers.get("host", "")
        if not is_within(address, self.trusted):
            return Caller(address, scheme, host)
        forwarded = _last(headers, "x-forwarded-proto").lower()
        return Caller(
            self._client(hops, address),
            forwarded if forwarded in DEFAULT_PORTS else scheme,
            _last(headers, "x-forwarded-host") or host,
            _last(headers, "x-forwarded-prefix").rstrip("/"),
        )

    def _nearest(self, headers: Headers, peer: str | None) -> tuple[str, list[str]]:
        """The neighbour, and the hops that it names."""
        # A proxy may append a line of its own instead of extending the one it got.
        listed = ",".join(headers.getlist("x-forwarded-for")).split(",")
        hops = [hop.strip() for hop in listed if hop.strip()]
        address = peer or "unknown"
        if hops and is_within(address, self.own):
            address = hops.pop()
        return address, hops

    def _client(self, hops: Sequence[str], nearest: str) -> str:
        """The hop next to our proxies: what lies before it may be invented."""
        for hop in reversed(hops):
            if not _is_address(hop):
                break
            nearest = hop
            if not is_within(hop, self.trusted):
                break
        return nearest


@lru_cache(REMEMBERED)
def is_loopback(address: str) -> bool:
    """Whether an IP address is one of this machine to itself."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def host_name(host: str) -> str:
    """The name in a `Host` header, without port and brackets, lower case."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _last(headers: Headers, name: str) -> str:
    """What the nearest proxy says, empty when it says nothing."""
    values = headers.getlist(name)
    return values[-1].strip() if values else ""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_within(address: str, networks: Sequence[Network]) -> bool:
    """Whether an address is in one of the networks; what is no address is in none."""
    if not networks or not _is_address(address):
        return False
    return any(ipaddress.ip_address(address) in network for network in networks)
