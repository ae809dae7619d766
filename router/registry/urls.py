"""Base URLs of providers: which are allowed, and how a short one is completed. No name is resolved here.

`upstream.dial` checks the addresses behind a name when it connects, since they can change after this check.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from adapters import NATIVE_ADAPTERS
from router.core.addresses import IpAddress, is_forbidden_address, parse_address

_ALLOWED = re.compile(r"[A-Za-z0-9\-._~:/\[\]!$&'()*+,;=%]+")
_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*")
# Resolvers read a host whose last label is a number as an IPv4 address in another notation (2852039166, 0xA9FEA9FE).
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)
_VERSION = re.compile(r"v[0-9]+[a-z0-9]*")
_PRIVATE_SUFFIXES = (".local", ".lan", ".internal", ".localhost", ".svc")
_METADATA_HOSTS = frozenset({"metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"})


def normalise(url: str, *, adapter: str, public_url: str) -> str:
    """A checked base URL that ends where the adapter's own path begins; raises `ValueError` as `check_base_url` does.

    A URL without a path gets the path of the adapter's public URL. A native adapter's URL with a path but without a
    version gets the public API's version (`https://proxy/anthropic` becomes `https://proxy/anthropic/v1`).
    """
    parts = check_base_url(url)
    path = parts.path.rstrip("/")
    usual = urlsplit(public_url).path.rstrip("/")
    version = usual.rpartition("/")[2]
    if not path:
        path = usual
    # Native adapters append paths such as /messages, which their APIs serve below a version.
    elif adapter in NATIVE_ADAPTERS and _VERSION.fullmatch(version) and not _VERSION.fullmatch(path.rpartition("/")[2]):
        path = f"{path}/{version}"
    return f"{parts.scheme}://{parts.netloc.lower()}{path}"


def check_base_url(url: str) -> SplitResult:
    """The parts of a URL that may receive requests with a key; raises `ValueError` saying why another may not.

    The message never repeats the URL, which may have been filled in from a variable and hold a password.
    """
    if not _ALLOWED.fullmatch(url):
        raise ValueError("base_url has a character that is not allowed: plain ASCII, without user name, '?' or '#'")
    parts = _split(url)
    if parts.scheme not in ("https", "http"):
        raise ValueError("base_url must begin with https:// (or with http:// for a private host)")
    if "%" in parts.netloc or re.search(r"/(\.|%2e){1,2}(/|$)", parts.path, re.IGNORECASE) or "//" in parts.path:
        raise ValueError("base_url must have no '%' in its host and no '.', '..' or empty segment in its path")
    _check_host(parts.hostname or "", secure=parts.scheme == "https")
    return parts


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
    address = parse_address(host)
    if address is None and (not _HOST.fullmatch(host) or _NUMERIC_LABEL.fullmatch(host.rpartition(".")[2])):
        raise ValueError("base_url has no valid host: a name, or an IP address in its usual form")
    if host.lower() in _METADATA_HOSTS or is_forbidden_address(host):
        raise ValueError("base_url points at a metadata service or an address that no provider has")
    if not secure and not _is_private(host, address):
        raise ValueError(
            "base_url must use https: http is only for loopback, private addresses, one-word hosts "
            f"and names under {', '.join(_PRIVATE_SUFFIXES)}"
        )


def _is_private(host: str, address: IpAddress | None) -> bool:
    """True where packets stay on this machine or in its private network, so that TLS is not required."""
    if address is not None:
        return address.is_loopback or address.is_private
    return "." not in host or host.lower().endswith(_PRIVATE_SUFFIXES)
