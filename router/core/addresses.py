"""IP addresses that no provider has: requests that carry a key are never sent to them."""

from __future__ import annotations

import ipaddress

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# Cloud metadata services outside the link-local range: Alibaba Cloud, Azure, and AWS over IPv6.
_METADATA_ADDRESSES = frozenset(map(ipaddress.ip_address, ("100.100.100.200", "168.63.129.16", "fd00:ec2::254")))
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address


def parse_address(host: str) -> IpAddress | None:
    """The IP address that a host is, or None for a name.

    IPv6 forms that carry an IPv4 address (mapped, 6to4, NAT64) give that address, so that a check sees through them.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return inner or address
    return address


def is_forbidden_address(host: str) -> bool:
    """True for an IP address of a metadata service, or a link-local, multicast, unspecified or reserved one.

    A request sent there would hand a provider's key to the cloud's own machinery, or go nowhere. False for a name.
    """
    address = parse_address(host)
    return address is not None and (
        address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address in _METADATA_ADDRESSES
        or (address.is_reserved and not address.is_loopback)
    )
