"""Base URLs: which are allowed, and how a short one is completed."""

from __future__ import annotations

import pytest

from router.registry.urls import check_base_url, normalise
from tests.registry.good import ADAPTERS


@pytest.mark.parametrize(
    ("adapter", "written", "meant"),
    [
        ("groq", "http://127.0.0.1:9000", "http://127.0.0.1:9000/openai/v1"),
        ("groq", "http://127.0.0.1:9000/", "http://127.0.0.1:9000/openai/v1"),
        ("groq", "https://proxy.example.com/groq/", "https://proxy.example.com/groq"),
        ("anthropic", "http://[::1]:9000", "http://[::1]:9000/v1"),
        ("anthropic", "https://proxy.example.com/anthropic", "https://proxy.example.com/anthropic/v1"),
        ("anthropic", "https://proxy.example.com/anthropic/v1", "https://proxy.example.com/anthropic/v1"),
        ("gemini", "http://simulator:9000/gemini", "http://simulator:9000/gemini/v1beta"),
        ("gemini", "https://EXAMPLE.com/v1", "https://example.com/v1"),
        ("compatible", "https://api.example.com", "https://api.example.com"),
    ],
)
def test_a_short_address_is_completed(adapter: str, written: str, meant: str) -> None:
    assert normalise(written, adapter=adapter, public_url=ADAPTERS[adapter]) == meant


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com/v1",
        "https://8.8.8.8/v1",
        "http://localhost:11434",
        "http://10.1.2.3/v1",
        "http://192.168.0.9:8000",
        "http://[fd12::1]:8000/v1",
        "http://ollama:11434/v1",
        "http://model.default.svc/v1",
        "http://host.docker.internal:1234/v1",
    ],
)
def test_addresses_that_are_allowed(url: str) -> None:
    assert check_base_url(url).geturl() == url


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com/v1",
        "http://8.8.8.8/v1",
        "ftp://example.com",
        "example.com/v1",
        "https://",
        "https://:443/v1",
        "https://me:pass@example.com/v1",
        "https://example.com/v1?key=x",
        "https://example.com/v1#x",
        "https://example.com:0/v1",
        "https://example.com:99999/v1",
        "https://exa%6dple.com/v1",
        "https://example.com./v1",
        "https://exämple.com/v1",
        "https://example.com/a/../b",
        "https://example.com/a/%2e%2e/b",
        "https://example.com//v1",
        "https://example.com/v1//",
        "https://exam ple.com/v1",
        "https://example.com\\@evil.com/v1",
        "https://exa\tmple.com/v1",
        "https://169.254.169.254/latest",
        "http://169.254.169.254",
        "https://metadata.google.internal/v1",
        "https://[::ffff:169.254.169.254]/v1",
        "https://[64:ff9b::a9fe:a9fe]/v1",
        "https://[2002:a9fe:a9fe::]/v1",
        "https://[fd00:ec2::254]/v1",
        "https://[fe80::1%25eth0]/v1",
        "https://100.100.100.200/v1",
        "https://0.0.0.0/v1",
        "https://224.0.0.1/v1",
        "https://2852039166/v1",
        "https://0xA9FEA9FE/v1",
        "https://169.254.43518/v1",
        "https://0251.0376.0251.0376/v1",
    ],
)
def test_addresses_that_are_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        check_base_url(url)
    assert str(caught.value).startswith("base_url ")
    assert "pass" not in str(caught.value)
    assert "key=x" not in str(caught.value)
