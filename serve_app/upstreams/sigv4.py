"""Requests to Amazon's services, signed with Signature Version 4.

Rules: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from urllib.parse import quote, urlsplit

from pydantic import SecretStr

from serve_app.core.upstreams.exchange import UpstreamRequest

ALGORITHM = "AWS4-HMAC-SHA256"
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class AwsCredentials:
    """What requests are signed with; `token` is of a session."""

    access_key: str
    secret: SecretStr
    token: SecretStr | None = None


def signed(
    request: UpstreamRequest,
    credentials: AwsCredentials,
    *,
    region: str,
    service: str,
    at: datetime,
) -> UpstreamRequest:
    """The request with its signature, which is good for a quarter of an hour. The URL's path has to
    be percent-encoded as it is sent. `at` is in UTC.
    """
    time = at.strftime("%Y%m%dT%H%M%SZ")
    added = {"x-amz-date": time}
    if credentials.token is not None:
        added["x-amz-security-token"] = credentials.token.get_secret_value()
    given = {name.decode().lower(): value.decode() for name, value in request.headers}
    headers = {"host": _host(request.url)} | given | added
    names = sorted(headers)
    scope = f"{time[:8]}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(_canonical(request, {name: headers[name] for name in names}))
    text = f"{ALGORITHM}\n{time}\n{scope}\n{digest.hexdigest()}"
    signature = _mac(_key(credentials.secret, scope), text.encode()).hex()
    added["authorization"] = (
        f"{ALGORITHM} Credential={credentials.access_key}/{scope}, "
        f"SignedHeaders={';'.join(names)}, Signature={signature}"
    )
    more = tuple((name.encode(), value.encode()) for name, value in added.items())
    return replace(request, headers=(*request.headers, *more))


def _canonical(request: UpstreamRequest, headers: dict[str, str]) -> bytes:
    """The request as both sides write it. All services but S3 want the path quoted once more."""
    parts = urlsplit(request.url)
    lines = (
        request.method,
        quote(parts.path or "/", safe="/~"),
        "&".join(sorted(parts.query.split("&"))),
        *(f"{name}:{' '.join(value.split())}" for name, value in headers.items()),
        "",
        ";".join(headers),
        hashlib.sha256(request.body).hexdigest(),
    )
    return "\n".join(lines).encode()


def _host(url: str) -> str:
    """As clients send it: without the port that is usual for the scheme."""
    parts = urlsplit(url)
    name = parts.hostname or ""
    name = f"[{name}]" if ":" in name else name
    is_usual = parts.port in (None, DEFAULT_PORTS.get(parts.scheme))
    return name if is_usual else f"{name}:{parts.port}"


def _key(secret: SecretStr, scope: str) -> bytes:
    """The key of a day, a region and a service."""
    first = f"AWS4{secret.get_secret_value()}".encode()
    return reduce(_mac, (part.encode() for part in scope.split("/")), first)


def _mac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")
