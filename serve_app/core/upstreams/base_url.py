"""What may be the base URL of a provider. Only admins set it, so that hosts on this machine and in
private networks are allowed; addresses at which clouds tell secrets are not.
"""

import ipaddress
import re
import socket
from urllib.parse import SplitResult, parse_qsl, urlsplit

from serve_app.core.addresses import Address, is_metadata

LONGEST = 2048
SCHEMES = ("http", "https")
METADATA_NAMES = frozenset(
    {"metadata", "metadata.google.internal", "metadata.goog", "instance-data.ec2.internal"}
)
SECRET = re.compile(r"key|token|secret|passw|sig|auth|credential", re.IGNORECASE)
NOT_ABSOLUTE = "base_url must be an absolute URL (e.g. https://api.example.com/)"
SHOWN = 50


def base_url_problem(url: str) -> str | None:
    """What is wrong with a base URL, None when nothing is. Clients match some of these texts."""
    if not url:
        return "base_url is required"
    if len(url) > LONGEST:
        return f"base_url must have at most {LONGEST} characters"
    parts = _parts(url)
    if parts is None:
        return NOT_ABSOLUTE
    if parts.scheme not in SCHEMES:
        return f'base_url scheme must be http or https, got "{parts.scheme[:SHOWN]}"'
    if "@" in parts.netloc or any(SECRET.search(name) for name, _ in parse_qsl(parts.query)):
        return "base_url must not contain credentials; use api_keys"
    if "#" in url:
        return "base_url must not contain a fragment"
    if _is_metadata_host(parts.hostname or ""):
        return "base_url must not be an address of a cloud's metadata"
    return None


def host_of(url: str) -> str:
    """Host and port of a base URL without problems, in one spelling."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.hostname}:{port}"


def _parts(url: str) -> SplitResult | None:
    """None for what is no absolute URL. The parser drops line breaks and tabs, and programs differ
    about backslashes.
    """
    if not url.isprintable() or " " in url or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError:
        return None
    return parts if parts.scheme and host else None


def _is_metadata_host(host: str) -> bool:
    if host.rstrip(".").lower() in METADATA_NAMES:
        return True
    address = _address(host)
    return address is not None and is_metadata(address)


def _address(host: str) -> Address | None:
    """The address that a host spells, also as a resolver reads it: `2852039166`, `0xa9.254.1`."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None
