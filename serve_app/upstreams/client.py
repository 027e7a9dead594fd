"""`UpstreamClient`: the one HTTP client for all providers, with a pool of connections.

Why it is aiohttp's: docs/decisions/0031-routing-to-upstreams.md.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import aiohttp
from h2.exceptions import H2Error
from yarl import URL

from serve_app.core.errors import TimedOut, UpstreamError
from serve_app.core.upstreams.exchange import UpstreamRefused, UpstreamRequest
from serve_app.core.upstreams.timeouts import UpstreamTimeouts
from serve_app.runtime.limits import LimitPassed
from serve_app.upstreams.connections import ProviderAddresses, check_literal
from serve_app.upstreams.http2.pool import Http2Pool, NoConnection
from serve_app.upstreams.http_response import Http1Response, HttpResponse
from serve_app.upstreams.tls import TlsContexts

MOST_BYTES = 256 * 1024 * 1024
"""Of a body: a request may ask for ten images in base64."""
MOST_ERROR_BYTES = 64 * 1024
KEEP_ALIVE_S = 30.0
LOOKED_UP_S = 10
READ_AHEAD = 64 * 1024
FIXED_HEADERS = {"accept-encoding": "identity", "user-agent": "polyphony"}


class UpstreamClient:
    """Made on the event loop that it is used on. Environment variables for proxies and `.netrc`
    files have no effect; cookies are neither kept nor sent. With `http2`, servers that choose it
    in TLS are spoken to in HTTP/2.
    """

    def __init__(self, *, http2: bool = True, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._http2 = http2
        self._pools: _Pools | None = None

    def calls(self, provider: str, timeouts: UpstreamTimeouts) -> "ProviderCalls":
        """What sends requests to one provider."""
        if self._pools is None:
            self._pools = _pools(http2=self._http2)
        return ProviderCalls(self._pools, provider, timeouts, most_bytes=self._most_bytes)

    async def close(self) -> None:
        """Close every connection."""
        if self._pools is not None:
            await self._pools.http1.close()
            if self._pools.http2 is not None:
                self._pools.http2.close()
            self._pools = None


class ProviderCalls:
    """Satisfies `UpstreamCalls`."""

    def __init__(
        self, pools: "_Pools", provider: str, timeouts: UpstreamTimeouts, *, most_bytes: int
    ) -> None:
        self._pools = pools
        self._provider = provider
        self._most_bytes = most_bytes
        self._timeouts = timeouts
        self._timeout = aiohttp.ClientTimeout(
            total=timeouts.total_s, sock_connect=timeouts.connect_s, sock_read=timeouts.read_s
        )

    @asynccontextmanager
    async def open(self, request: UpstreamRequest) -> AsyncGenerator["ProviderResponse"]:
        """Send it; a response that is no success is read, and raised as UpstreamRefused."""
        url = URL(request.url, encoded=request.url.isascii())
        response: HttpResponse | None = None
        try:
            with named_failures(self._provider):
                check_literal(url.host or "")
                if url.scheme == "https" and self._pools.http2 is not None:
                    response = await self._pools.http2.send(request, url, self._timeouts)
                if response is None:
                    response = await self._over_http1(request, url)
                if response.status >= 300:
                    raise await _refused(response)
            yield ProviderResponse(response, self._provider, self._most_bytes)
        finally:
            if response is not None:
                response.leave()

    async def _over_http1(self, request: UpstreamRequest, url: URL) -> Http1Response:
        return Http1Response(
            await self._pools.http1.request(
                request.method,
                url,
                headers=[(name.decode(), value.decode()) for name, value in request.headers],
                data=request.body or None,
                allow_redirects=False,
                timeout=self._timeout,
                ssl=(await self._pools.tls.get()).http1 if url.scheme == "https" else True,
            )
        )


class ProviderResponse:
    """Satisfies `UpstreamResponse`."""

    def __init__(self, response: HttpResponse, provider: str, most_bytes: int) -> None:
        self.status = response.status
        self.headers = response.headers
        self._response = response
        self._provider = provider
        self._most_bytes = most_bytes

    async def read(self) -> bytes:
        """The whole body."""
        return b"".join([chunk async for chunk in self.chunks()])

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes."""
        size = 0
        with named_failures(self._provider):
            async for piece in self._response.pieces():
                size += len(piece)
                if size > self._most_bytes:
                    raise UpstreamError(
                        f"the response is larger than {self._most_bytes} bytes",
                        provider=self._provider,
                    )
                yield piece


@dataclass(frozen=True)
class _Pools:
    tls: TlsContexts
    http1: aiohttp.ClientSession
    http2: Http2Pool | None


def _pools(*, http2: bool) -> _Pools:
    addresses, tls = ProviderAddresses(), TlsContexts()
    connector = aiohttp.TCPConnector(
        limit=0,
        resolver=addresses,
        ttl_dns_cache=LOOKED_UP_S,
        keepalive_timeout=KEEP_ALIVE_S,
    )
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=FIXED_HEADERS,
        read_bufsize=READ_AHEAD,
        trust_env=False,
    )
    fixed = tuple((name.encode(), value.encode()) for name, value in FIXED_HEADERS.items())
    return _Pools(tls, session, Http2Pool(addresses, tls, fixed) if http2 else None)


@contextmanager
def named_failures(provider: str) -> Generator[None]:
    """What goes wrong between here and a provider, in the error tree. No message of the library's
    is told: they may have a header or the URL in them.
    """
    try:
        yield
    except UpstreamError as error:
        error.provider = provider
        raise
    except (TimeoutError, LimitPassed) as error:
        raise TimedOut(f"provider {provider!r} did not respond in time", provider=provider) from (
            error
        )
    except (aiohttp.ClientConnectorError, NoConnection) as error:
        raise UpstreamError(
            f"there is no connection to provider {provider!r}", provider=provider
        ) from error
    except (aiohttp.ClientError, H2Error, OSError, ValueError) as error:
        raise UpstreamError(
            f"the response of provider {provider!r} is incomplete or invalid"
            f" ({type(error).__name__})",
            provider=provider,
        ) from error


async def _refused(response: HttpResponse) -> UpstreamRefused:
    """What was sent instead, as far as it is of use."""
    body = b""
    if response.status >= 400:
        async for piece in response.pieces():
            body += piece
            if len(body) > MOST_ERROR_BYTES:
                break
    return UpstreamRefused(response.status, response.headers, body[:MOST_ERROR_BYTES])
