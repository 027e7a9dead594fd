"""What network addresses are, whoever asks."""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = ipaddress.ip_network("64:ff9b::/96")
METADATA = tuple(
    map(
        ipaddress.ip_network,
        (
            *("169.254.0.0/16", "fe80::/10"),
            # AWS, Google Cloud, Alibaba Cloud and Oracle Cloud.
            *("fd00:ec2::/32", "fd20:ce::254/128", "100.100.100.200/32", "192.0.0.192/32"),
        ),
    )
)
"""Link-local addresses, at which clouds hand credentials to whatever runs on a machine, and the
others at which they do.
"""


def wrapped(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address only wraps: mapped, 6to4 or NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address in NAT64:
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return inner


def is_metadata(address: Address) -> bool:
    """Whether a cloud may tell secrets of this machine there."""
    inner = wrapped(address)
    if inner is not None:
        return is_metadata(inner)
    return any(address in network for network in METADATA)
