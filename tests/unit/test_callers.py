"""Whom a request is from, through proxies that are listed and through headers that are invented."""

import ipaddress

import pytest
from starlette.datastructures import Headers

from serve_app.access.callers import LOOPBACK, Caller, Proxies

LISTED = (ipaddress.ip_network("10.0.0.0/8"),)


def caller(peer: str | None, proxies: Proxies, scheme: str = "http", **headers: str) -> Caller:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return proxies.caller(Headers({"host": "own:8000"} | named), peer, scheme=scheme)


@pytest.mark.parametrize("peer", ["203.0.113.5", "127.0.0.1", "unix", ""])
def test_headers_of_unlisted_peers_are_not_believed(peer: str) -> None:
    found = caller(
        peer,
        Proxies(trusted=LISTED),
        x_forwarded_for="198.51.100.1",
        x_forwarded_proto="https",
        x_forwarded_host="evil.example",
    )
    assert found == Caller(peer or "unknown", "http", "own:8000")


def test_a_listed_proxy_is_believed() -> None:
    found = caller(
        "10.1.2.3",
        Proxies(trusted=LISTED),
        x_forwarded_for="198.51.100.1",
        x_forwarded_proto="HTTPS",
        x_forwarded_host="public.example",
    )
    assert found == Caller("198.51.100.1", "https", "public.example")
    assert found.port == 443


@pytest.mark.parametrize(
    ("hops", "address"),
    [
        ("1.1.1.1, 198.51.100.1, 10.9.9.9", "198.51.100.1"),
        ("1.1.1.1, not an address, 10.9.9.9", "10.9.9.9"),
        ("10.5.5.5", "10.5.5.5"),
        ("", "10.1.2.3"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_what_lies_before_the_nearest_unlisted_hop_may_be_invented(hops: str, address: str) -> None:
    assert caller("10.1.2.3", Proxies(trusted=LISTED), x_forwarded_for=hops).address == address


def test_serves_own_proxy_tells_the_address_and_nothing_else() -> None:
    """It appends whom it speaks to; everything else is the client's."""
    proxies = Proxies(own=LOOPBACK, trusted=LISTED)
    found = caller(
        "127.0.0.1", proxies, x_forwarded_for="1.1.1.1, 203.0.113.5", x_forwarded_proto="https"
    )
    assert found == Caller("203.0.113.5", "http", "own:8000")


def test_a_line_that_a_proxy_appends_counts_like_an_extended_one() -> None:
    """HAProxy leaves the client's line as it is and adds another."""
    lines = (b"203.0.113.1, 10.3.3.3", b"203.0.113.5")
    headers = Headers(raw=[(b"x-forwarded-for", line) for line in lines])
    found = Proxies(own=LOOPBACK, trusted=LISTED).caller(headers, "127.0.0.1", scheme="http")
    assert found.address == "203.0.113.5"


def test_a_listed_proxy_before_serves_own() -> None:
    proxies = Proxies(own=LOOPBACK, trusted=LISTED)
    found = caller(
        "127.0.0.1", proxies, x_forwarded_for="198.51.100.1, 10.1.1.1", x_forwarded_proto="https"
    )
    assert found == Caller("198.51.100.1", "https", "own:8000")


@pytest.mark.parametrize(
    ("host", "scheme", "port"),
    [
        ("own:8000", "http", 8000),
        ("own", "http", 80),
        ("own", "https", 443),
        ("[::1]:9", "http", 9),
        ("own:99999999999", "http", 80),
        ("own:²", "http", 80),
        ("own:x", "https", 443),
        ("", "http", 80),
    ],
)
def test_the_port_in_the_address_bar(host: str, scheme: str, port: int) -> None:
    assert Caller("a", scheme, host).port == port


@pytest.mark.parametrize(
    ("origin", "is_own"),
    [
        ("http://own:8000", True),
        ("HTTP://OWN:8000", True),
        ("https://own:8000", False),
        ("http://own", False),
        ("http://own:8001", False),
        ("http://own:8000.evil.example", False),
        ("http://evil.example", False),
        ("null", False),
        ("", False),
    ],
)
def test_only_the_own_origin_is_the_own(origin: str, is_own: bool) -> None:
    assert Caller("a", "http", "own:8000").is_origin(origin) == is_own


def test_a_default_port_may_be_left_out() -> None:
    assert Caller("a", "https", "own").is_origin("https://own:443")
    assert Caller("a", "https", "own:443").is_origin("https://own")
