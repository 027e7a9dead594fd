"""Where the server connects to for a provider: anywhere but to a cloud's metadata."""

import ipaddress

import pytest

from serve_app.core.addresses import is_metadata
from serve_app.core.errors import UpstreamError
from serve_app.upstreams.connections import ProviderAddresses, check_literal


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "10.1.2.3", "192.168.0.7", "8.8.8.8"])
async def test_this_machine_and_private_networks_are_allowed(host: str) -> None:
    found = await ProviderAddresses().allowed_addresses(host, 80)
    assert [str(address) for address in found] == [host]


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "2852039166", "0xa9.254.43518", "fd00:ec2::254"]
)
async def test_what_becomes_an_address_of_metadata_is_refused(host: str) -> None:
    """However it is spelled: what counts is what the name stands for."""
    with pytest.raises(UpstreamError, match="metadata"):
        await ProviderAddresses().allowed_addresses(host, 80)
    with pytest.raises(UpstreamError, match="metadata"):
        await ProviderAddresses().resolve(host, 80)


@pytest.mark.parametrize("host", ["169.254.169.254", "[fd00:ec2::254]", "fe80::1%eth0"])
def test_an_address_that_is_not_looked_up_is_refused_too(host: str) -> None:
    with pytest.raises(UpstreamError, match="metadata"):
        check_literal(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "api.example.com"])
def test_other_hosts_are_not(host: str) -> None:
    check_literal(host)


@pytest.mark.parametrize(
    ("address", "is_it"),
    [
        ("169.254.0.1", True),
        ("::ffff:169.254.169.254", True),
        ("2002:a9fe:a9fe::", True),
        ("64:ff9b::a9fe:a9fe", True),
        ("fe80::1", True),
        ("100.100.100.200", True),
        ("192.0.0.192", True),
        ("169.253.255.255", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("127.0.0.1", False),
    ],
)
def test_addresses_of_metadata(address: str, is_it: bool) -> None:
    assert is_metadata(ipaddress.ip_address(address)) == is_it
