"""What a reload would change, in words."""

from __future__ import annotations

import pytest

from router.registry.diff import diff
from tests.registry.good import GOOD, changed, loaded

CHANGES: list[tuple[tuple[str, str], list[str]]] = [
    (("strategy: single-query", "strategy: council"), ["default strategy single-query → council"]),
    (("total: 180s", "total: 3.5m"), ["tier complex: timeouts: total_s 180 → 210"]),
    (("council: {chair: complex}", "council: {on_cut: continue}"), [
        "strategy council: chair complex → nothing",
        "strategy council: on_cut error → continue",
    ]),
    (("enabled: true", "enabled: false"), ["provider local: enabled true → false"]),
    (("enabled: true", "region: eu"), ["provider local: region nothing → eu"]),
    (("enabled: true", "breaker: {failures: 2}"), ["provider local: breaker: failures 5 → 2"]),
    (("enabled: true", "quirks: {drop: [seed]}"), ["provider local: quirks nothing → drop seed"]),
    (("{requests: 30, per: minute}", "{tokens: 8k, per: minute}"), [
        "provider groq: limits 30 requests/minute, 1000 requests/day from 00:00 UTC → "
        "8000 tokens/minute, 1000 requests/day from 00:00 UTC"
    ]),
    (("output: 0.5}", "output: 0.75}"), [
        "model groq/small: price $0.1/$0.5 per million tokens → $0.1/$0.75 per million tokens"
    ]),
    (("[tools]", "[tools, json]"), ["model groq/small: supports tools → json, tools"]),
    (("{cheap: 2, complex: 5}", "{cheap: 7}"), ["model local/tiny: tiers cheap 2, complex 5 → cheap 7"]),
    (("      tiny:", "      big:"), ["model local/big added", "model local/tiny removed"]),
    (("  local:", "  ollama:"), ["provider ollama added (1 models)", "provider local removed (1 models)"]),
]  # fmt: skip


@pytest.mark.parametrize(("replacement", "expected"), CHANGES)
def test_a_change_is_described_in_words(replacement: tuple[str, str], expected: list[str]) -> None:
    assert diff(loaded(), loaded(changed(replacement))) == expected


def test_no_change_gives_no_line() -> None:
    assert diff(loaded(), loaded("# a comment\n" + GOOD)) == []


def test_a_changed_key_is_mentioned_but_never_shown() -> None:
    with_key, without = loaded(), loaded(env={})
    assert diff(without, with_key) == ["provider groq: has all its variables now"]
    assert diff(with_key, without) == ["provider groq: still lacks GROQ_API_KEY"]
    assert diff(with_key, loaded(env={"GROQ_API_KEY": "gsk_new"})) == ["provider groq: another api_key"]


def test_a_new_order_of_equal_ranks_is_mentioned() -> None:
    block, text = GOOD[GOOD.index("  local:") :], changed(("{cheap: 2, complex: 5}", "{cheap: 1, complex: 5}"))
    block = block.replace("cheap: 2", "cheap: 1")
    moved = text.replace(block, "").replace("providers:\n", f"providers:\n{block}")
    assert diff(loaded(text), loaded(moved)) == ["tier cheap: order is now local/tiny, groq/small"]
