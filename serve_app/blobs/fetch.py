"""Fetching a caller's URL: guarded addresses, checked redirects, bounded time and size."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from urllib.parse import SplitResult, quote, urljoin, urlsplit

import httpcore

from serve_app.blobs.addresses import AllowList, GuardedBackend
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.errors import InvalidRequest, PayloadTooLarge
from serve_app.core.media import Blob
from serve_app.core.settings import Limits
from serve_app.runtime.limits import LimitPassed, within

REDIRECTS = frozenset({301, 302, 303, 307, 308})
CONNECT_TIMEOUT_S = 10.0
INSTEAD = "upload the file instead, or "


async def fetch(url: str, store: FsspecBlobStore, *, limits: Limits, param: str) -> Blob:
    """Store what a URL answers with. InvalidRequest, naming `param`, for whatever goes wrong with
    it; PayloadTooLarge as soon as more than `limits.upload_bytes` have come.
    """
    try:
        async with (
            within(limits.fetch_timeout_s),
            aclosing(_body(url, limits, param)) as body,
        ):
            return await store.write(body)
    except LimitPassed:
        raise InvalidRequest(
            f"the URL did not respond completely within {limits.fetch_timeout_s:g} s",
            param=param,
        ) from None
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
        raise InvalidRequest(
            f"the URL cannot be fetched ({type(error).__name__})", param=param
        ) from error


async def _body(url: str, limits: Limits, param: str) -> AsyncGenerator[bytes]:
    allowed = AllowList(limits.fetch_allow)
    backend = GuardedBackend(allowed, param=param, instead=INSTEAD)
    async with httpcore.AsyncConnectionPool(network_backend=backend) as pool:
        for _ in range(limits.fetch_redirects + 1):
            parts = checked_url(url, param)
            async with pool.stream(
                "GET",
                url_bytes(parts),
                headers=[(b"User-Agent", b"polyphony"), (b"Accept-Encoding", b"identity")],
                extensions={"timeout": {"connect": CONNECT_TIMEOUT_S}},
            ) as response:
                if response.status not in REDIRECTS:
                    _check(response, limits, param)
                    async for chunk in _capped(response, limits.upload_bytes, param):
                        yield chunk
                    return
                url = _next_url(url, _header(response, b"location"), param)
        raise InvalidRequest(
            f"the URL redirects more than {limits.fetch_redirects} times", param=param
        )


def checked_url(url: str, param: str) -> SplitResult:
    """The parts of an http(s) URL without credentials. InvalidRequest for any other."""
    try:
        parts = urlsplit(url)
        _ = parts.port
        (parts.hostname or "").encode("idna")
    except ValueError:
        raise _not_a_url(param) from None
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise InvalidRequest("only http and https URLs are fetched", param=param)
    if "@" in parts.netloc:
        raise InvalidRequest("a URL with credentials is not fetched", param=param)
    return parts


def url_bytes(parts: SplitResult) -> httpcore.URL:
    """The URL as httpcore takes it, non-ASCII percent-encoded."""
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    if parts.query:
        target += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~-._?[]")
    host = parts.hostname or ""
    return httpcore.URL(
        scheme=parts.scheme.lower(),
        host=host if host.isascii() else host.encode("idna"),
        port=parts.port,
        target=target,
    )


def _next_url(url: str, location: str, param: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        raise _not_a_url(param) from None


def _check(response: httpcore.Response, limits: Limits, param: str) -> None:
    if response.status != 200:
        raise InvalidRequest(f"the URL answered with status {response.status}", param=param)
    if _header(response, b"content-encoding") not in ("", "identity"):
        raise InvalidRequest(
            "the URL answered with a compressed body that was not asked for", param=param
        )
    length = _header(response, b"content-length")
    if length.isdigit() and int(length) > limits.upload_bytes:
        raise _too_large(limits.upload_bytes, param)


async def _capped(response: httpcore.Response, limit: int, param: str) -> AsyncGenerator[bytes]:
    size = 0
    async for chunk in response.aiter_stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit, param)
        yield chunk


def _header(response: httpcore.Response, name: bytes) -> str:
    return next(
        (value.decode("latin-1") for key, value in response.headers if key.lower() == name), ""
    )


def _not_a_url(param: str) -> InvalidRequest:
    return InvalidRequest("not a valid URL", param=param)


def _too_large(limit: int, param: str) -> PayloadTooLarge:
    return PayloadTooLarge(f"the URL's content has more than {limit} bytes", param=param)
