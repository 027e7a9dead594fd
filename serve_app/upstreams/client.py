"""`UpstreamClient`: the one HTTP client for all providers, with a pool of connections.

Why it is aiohttp's: docs/decisions/0031-routing-to-upstreams.md.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager

import aiohttp
from yarl import URL

from serve_app.core.errors import TimedOut, UpstreamError
from serve_app.core.upstreams.exchange import UpstreamRefused, UpstreamRequest
from serve_app.core.upstreams.timeouts import UpstreamTimeouts
from serve_app.upstreams.connections import ProviderAddresses, check_literal

MOST_BYTES = 256 * 1024 * 1024
"""Of a body: a request may ask for ten images in base64."""
MOST_ERROR_BYTES = 64 * 1024
KEEP_ALIVE_S = 30.0
LOOKED_UP_S = 10
READ_AHEAD = 64 * 1024
FIXED_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "polyphony"}


class UpstreamClient:
    """Made on the event loop that it is used on. Environment variables for proxies and `.netrc`
    files have no effect; cookies are neither kept nor sent.
    """

    def __init__(self, *, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._session: aiohttp.ClientSession | None = None

    def calls(self, provider: str, timeouts: UpstreamTimeouts) -> "ProviderCalls":
        """What sends requests to one provider."""
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=0,
                resolver=ProviderAddresses(),
                ttl_dns_cache=LOOKED_UP_S,
                keepalive_timeout=KEEP_ALIVE_S,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=FIXED_HEADERS,
                read_bufsize=READ_AHEAD,
                trust_env=False,
            )
        return ProviderCalls(self._session, provider, timeouts, most_bytes=self._most_bytes)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None


class ProviderCalls:
    """Satisfies `UpstreamCalls`."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        provider: str,
        timeouts: UpstreamTimeouts,
        *,
        most_bytes: int,
    ) -> None:
        self._session = session
        self._provider = provider
        self._most_bytes = most_bytes
        self._timeout = aiohttp.ClientTimeout(
            total=timeouts.total_s, sock_connect=timeouts.connect_s, sock_read=timeouts.read_s
        )

    @asynccontextmanager
    async def open(self, request: UpstreamRequest) -> AsyncGenerator["AiohttpResponse"]:
        """Send it; a response that is no success is read, and raised as UpstreamRefused."""
        url = URL(request.url, encoded=request.url.isascii())
        response: aiohttp.ClientResponse | None = None
        try:
            with named_failures(self._provider):
                check_literal(url.host or "")
                response = await self._session.request(
                    request.method,
                    url,
                    headers=[(name.decode(), value.decode()) for name, value in request.headers],
                    data=request.body or None,
                    allow_redirects=False,
                    timeout=self._timeout,
                )
                if response.status >= 300:
                    raise await _refused(response)
            yield AiohttpResponse(response, self._provider, self._most_bytes)
        finally:
            if response is not None:
                # Of a body that has not been read to its end, nobody may get the rest.
                response.release() if response.content.at_eof() else response.close()


class AiohttpResponse:
    """Satisfies `UpstreamResponse`."""

    def __init__(self, response: aiohttp.ClientResponse, provider: str, most_bytes: int) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = _headers(response)
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
            async for chunk in self._response.content.iter_any():
                size += len(chunk)
                if size > self._most_bytes:
                    raise UpstreamError(
                        f"the response is larger than {self._most_bytes} bytes",
                        provider=self._provider,
                    )
                yield chunk


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
    except TimeoutError as error:
        raise TimedOut(f"provider {provider!r} did not respond in time", provider=provider) from (
            error
        )
    except aiohttp.ClientConnectorError as error:
        raise UpstreamError(
            f"there is no connection to provider {provider!r}", provider=provider
        ) from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise UpstreamError(
            f"the response of provider {provider!r} is incomplete or invalid"
            f" ({type(error).__name__})",
            provider=provider,
        ) from error


async def _refused(response: aiohttp.ClientResponse) -> UpstreamRefused:
    """What was sent instead, as far as it is of use."""
    body = b""
    if response.status >= 400:
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > MOST_ERROR_BYTES:
                break
    return UpstreamRefused(response.status, _headers(response), body[:MOST_ERROR_BYTES])


def _headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}
