"""IP addresses that no request with a key may be sent to."""

from __future__ import annotations

import pytest

from router.core.addresses import is_forbidden_address


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "fd00:ec2::254",
        "fe80::1",
        "224.0.0.1",
        "ff02::1",
        "0.0.0.0",
        "::",
        "240.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::",
    ],
)
def test_no_provider_has_these(host: str) -> None:
    assert is_forbidden_address(host)


@pytest.mark.parametrize(
    "host", ["8.8.8.8", "127.0.0.1", "::1", "10.1.2.3", "fd12::1", "64:ff9b::808:808", "localhost", ""]
)
def test_a_provider_may_have_these(host: str) -> None:
    assert not is_forbidden_address(host)
