"""Warnings about prices that differ from public price data."""

from __future__ import annotations

import sys

import pytest

from router.registry.load import parse_registry
from router.registry.prices import findings, public_price

REGISTRY = """
version: 1
tiers: {cheap: {}}
providers:
  openai:
    adapter: openai
    models:
      gpt-4o-mini: {tier: cheap, price: {input: %s, output: 0.60}}
      gpt-of-tomorrow: {tier: cheap, price: {input: 99, output: 99}}
      gpt-4.1-mini: {tier: cheap}
"""
ADAPTERS = {"openai": "https://api.openai.com/v1"}


def warnings(price: str) -> list[str]:
    checked = parse_registry((REGISTRY % price).encode(), "r.yaml", env=None, adapters=ADAPTERS, advise=findings)
    assert checked.registry is not None
    return [str(problem) for problem in checked.problems if "public price" in problem.message]


def test_a_price_that_is_far_off_is_a_warning_at_its_place() -> None:
    assert warnings("0.30") == [
        "r.yaml:8:49: warning: the input price is 0.3, but public price data says 0.15 USD per million tokens"
    ]


@pytest.mark.parametrize("price", ["0.15", "0.17", "0.13"])
def test_a_price_within_a_fifth_gives_no_warning(price: str) -> None:
    assert warnings(price) == []


def test_without_the_data_there_are_no_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    assert public_price("openai", "gpt-4o-mini") is None
    assert warnings("30") == []
