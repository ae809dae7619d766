"""Which addresses a provider may have, and what a short one means. Nothing is resolved here: names stay names."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from adapters.types import NATIVE_ADAPTERS

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_ALLOWED = re.compile(r"[A-Za-z0-9\-._~:/\[\]!$&'()*+,;=%]+")
_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)
_VERSION = re.compile(r"v[0-9]+[a-z0-9]*")
_HOME_SUFFIXES = (".local", ".lan", ".internal", ".localhost", ".svc")
_METADATA_HOSTS = frozenset({"metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"})
_METADATA_ADDRESSES = frozenset(map(ipaddress.ip_address, ("100.100.100.200", "168.63.129.16", "fd00:ec2::254")))
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def normalise(url: str, *, adapter: str, public_url: str) -> str:
    """A checked base URL, ending where the adapter's own path begins; ValueError says why one is refused.

    An address without a path takes the path of the adapter's public URL; a native adapter's gets its version.
    """
    parts = check_base_url(url)
    path = parts.path.rstrip("/")
    usual = urlsplit(public_url).path.rstrip("/")
    version = usual.rpartition("/")[2]
    if not path:
        path = usual
    # Native adapters put their own path below a version: a proxy's address without one gets that of the public API.
    elif adapter in NATIVE_ADAPTERS and _VERSION.fullmatch(version) and not _VERSION.fullmatch(path.rpartition("/")[2]):
        path = f"{path}/{version}"
    return f"{parts.scheme}://{parts.netloc.lower()}{path}"


def check_base_url(url: str) -> SplitResult:
    """The parts of a URL that requests with a key may be sent to; ValueError says why it is refused.

    The URL is never repeated in the message: it may have been filled in from a variable.
    """
    if not _ALLOWED.fullmatch(url):
        raise ValueError("base_url has a character that is not allowed: plain ASCII, without user name, '?' or '#'")
    parts = _split(url)
    if parts.scheme not in ("https", "http"):
        raise ValueError("base_url must begin with https:// (or http:// for a host at home)")
    if "%" in parts.netloc or re.search(r"/(\.|%2e){1,2}(/|$)", parts.path, re.IGNORECASE) or "//" in parts.path:
        raise ValueError("base_url must be written plainly: no '%' in the host, no '.', '..' or empty part in the path")
    _check_host(parts.hostname or "", secure=parts.scheme == "https")
    return parts


def is_forbidden_address(host: str) -> bool:
    """True for an IP address that no provider has: of a metadata service, link-local, multicast and the like."""
    address = _address(host)
    return address is not None and _is_forbidden(address)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        valid = parts.port is None or parts.port > 0
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("base_url has no valid host and port")
    return parts


def _check_host(host: str, *, secure: bool) -> None:
    address = _address(host)
    if address is None and (not _HOST.fullmatch(host) or _NUMERIC_LABEL.fullmatch(host.rpartition(".")[2])):
        raise ValueError("base_url has no valid host: a name, or an IP address in its usual form")
    if host.lower() in _METADATA_HOSTS or is_forbidden_address(host):
        raise ValueError("base_url points at a metadata service or an address that no provider has")
    if not secure and not _is_home(host, address):
        raise ValueError(
            "base_url must use https: http is for loopback, private addresses, one-word hosts "
            f"and names under {', '.join(_HOME_SUFFIXES)}"
        )


def _address(host: str) -> IpAddress | None:
    """The IP address that a host is, seen through the IPv6 forms that carry an IPv4 one."""
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


def _is_forbidden(address: IpAddress) -> bool:
    return (
        address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address in _METADATA_ADDRESSES
        or (address.is_reserved and not address.is_loopback)
    )


def _is_home(host: str, address: IpAddress | None) -> bool:
    """True where packets stay on this machine or in its private network."""
    if address is not None:
        return address.is_loopback or address.is_private
    return "." not in host or host.lower().endswith(_HOME_SUFFIXES)
