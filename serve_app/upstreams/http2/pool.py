"""`Http2Pool`: the connections to all providers that speak HTTP/2."""

import asyncio
import socket
from dataclasses import dataclass, field

import aiohappyeyeballs
from aiohappyeyeballs import AddrInfoType
from hpack import NeverIndexedHeaderTuple
from yarl import URL

from serve_app.core.addresses import Address
from serve_app.core.upstreams.exchange import UpstreamRequest
from serve_app.core.upstreams.timeouts import UpstreamTimeouts
from serve_app.core.upstreams.upstream_calls import Header
from serve_app.runtime.limits import within
from serve_app.upstreams.connections import ProviderAddresses
from serve_app.upstreams.http2.connection import Http2Connection
from serve_app.upstreams.http2.stream import Http2Stream, NotBegun
from serve_app.upstreams.tls import TlsContexts

TRIES = 3
REMEMBERED_S = 600.0
"""How long a server that has chosen HTTP/1.1 is not asked again."""
NEXT_ADDRESS_S = 0.25
KEYS = {b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"x-amz-security-token"}
OF_A_CONNECTION = {b"connection", b"host", b"keep-alive", b"transfer-encoding"}


class NoConnection(OSError):
    """The server cannot be reached."""


@dataclass
class _Origin:
    connections: list[Http2Connection] = field(default_factory=list)
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    is_plain_until: float = 0.0


class Http2Pool:
    """What is chosen in TLS (ALPN) decides; without TLS, no server is asked for HTTP/2."""

    def __init__(
        self, addresses: ProviderAddresses, tls: TlsContexts, fixed: tuple[Header, ...] = ()
    ) -> None:
        self._addresses = addresses
        self._tls = tls
        self._fixed = fixed
        self._origins: dict[tuple[str, int], _Origin] = {}

    async def send(
        self, request: UpstreamRequest, url: URL, timeouts: UpstreamTimeouts
    ) -> Http2Stream | None:
        """The response when its status is there; None where the server speaks HTTP/1.1 only.

        OSError where it cannot be reached or breaks off, TimeoutError where it takes too long. What
        a server has not begun is sent again, on another connection.
        """
        headers = _headers(request, url, self._fixed)
        for attempt in range(TRIES):
            connection = await self._connection(url, timeouts)
            if connection is None:
                return None
            stream = connection.request(headers, timeouts, has_body=bool(request.body))
            try:
                await stream.begin(request.body)
            except NotBegun:
                stream.leave()
                if attempt == TRIES - 1:
                    raise
            except BaseException:
                stream.leave()
                raise
            else:
                return stream
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close every connection."""
        for origin in self._origins.values():
            for connection in origin.connections:
                connection.close()

    async def _connection(self, url: URL, timeouts: UpstreamTimeouts) -> Http2Connection | None:
        host, port = url.raw_host or "", url.port or 443
        origin = self._origins.setdefault((host, port), _Origin())
        clock = asyncio.get_running_loop().time
        async with within(timeouts.connect_s):
            while True:
                if clock() < origin.is_plain_until:
                    return None
                if (found := _with_room(origin)) is not None:
                    return found
                async with origin.opening:
                    # Whoever has waited here finds what the one before has opened.
                    if clock() < origin.is_plain_until or _with_room(origin) is not None:
                        continue
                    made = await self._opened(host, port)
                    if not made.speaks_http2:
                        origin.is_plain_until = clock() + REMEMBERED_S
                        return None
                    origin.connections = [each for each in origin.connections if each.is_open]
                    origin.connections.append(made)

    async def _opened(self, host: str, port: int) -> Http2Connection:
        loop = asyncio.get_running_loop()
        offered = (await self._tls.get()).any
        try:
            addresses = await self._addresses.allowed_addresses(host, port)
            connected = await aiohappyeyeballs.start_connection(
                [_address_info(each, port) for each in addresses],
                happy_eyeballs_delay=NEXT_ADDRESS_S,
                interleave=1,
            )
            _, made = await loop.create_connection(
                Http2Connection, sock=connected, ssl=offered, server_hostname=host
            )
        except TimeoutError:
            raise
        except OSError as error:
            raise NoConnection(str(error)) from error
        return made


def _address_info(address: Address, port: int) -> AddrInfoType:
    """As `getaddrinfo` tells it."""
    if address.version == 4:
        return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (str(address), port)
    where = (str(address), port, 0, 0)
    return socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", where


def _with_room(origin: _Origin) -> Http2Connection | None:
    return next((each for each in origin.connections if each.has_room), None)


def _headers(request: UpstreamRequest, url: URL, fixed: tuple[Header, ...]) -> list[Header]:
    """Names in lower case. Keys are kept out of the tables by which headers are made small."""
    sent: list[Header] = [
        (b":method", request.method.encode()),
        (b":scheme", b"https"),
        (b":authority", url.raw_authority.rpartition("@")[2].encode()),
        (b":path", url.raw_path_qs.encode()),
        *fixed,
    ]
    for name, value in request.headers:
        lower = name.lower()
        if any(each in value for each in b"\r\n\0"):
            raise ValueError("a header has a line end")
        if lower not in OF_A_CONNECTION:
            is_key = lower in KEYS
            sent.append(NeverIndexedHeaderTuple(lower, value) if is_key else (lower, value))
    if request.body:
        sent.append((b"content-length", str(len(request.body)).encode()))
    return sent
