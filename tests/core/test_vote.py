"""A vote: its cost by the registry's prices, and which outcomes are ok."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from adapters.errors import ErrorKind, ProviderError
from adapters.types import Usage
from router.core.registry import Price
from router.core.vote import Vote, cost_usd
from tests.support.small_registry import registry

SEAT = registry().seats["beta/small"]


def vote(**facts: Any) -> Vote:
    usual: dict[str, Any] = {
        "vote_id": "v",
        "request_id": "r",
        "registry_hash": "h",
        "seq": 1,
        "role": "answer",
        "seat": SEAT,
        "outcome": "ok",
        "created_at": 0.0,
        "duration_ms": 1.0,
        "arrival_ms": 1.0,
    }
    return Vote(**usual | facts)


@pytest.mark.parametrize(
    ("price", "usage", "cost"),
    [
        (Price(1.0, 2.0), Usage(1_000_000, None, 500_000), 2.0),
        (Price(1.0, 2.0), Usage(10, None, 0), 10 / 1e6),
        (Price(1.0, 2.0), Usage(10), 10 / 1e6),
        (Price(1.0, 2.0, 0.1), Usage(100, 60, 10), (40 * 1 + 60 * 0.1 + 10 * 2) / 1e6),
        (Price(1.0, 2.0, 0.0), Usage(100, 100, 0), 0.0),
        (Price(1.0, 2.0), Usage(100, 60, 10), (100 + 20) / 1e6),  # no price of its own: cached input costs the same
        (Price(1.0, 2.0, 0.1), Usage(100, 400, 0), 100 * 0.1 / 1e6),  # more cached than there was: all of it
        (Price(1.0, 2.0), Usage(100, None, 50, 40), 200 / 1e6),  # reasoning is already in the output
        (Price(), Usage(100, None, 50), 0.0),
        (Price(1.0, 2.0), Usage(), None),
        (Price(1.0, 2.0), Usage(None, None, 50), None),
        (None, Usage(100, None, 50), None),
    ],
)
def test_a_call_costs_what_the_registry_says(price: Price | None, usage: Usage, cost: float | None) -> None:
    assert cost_usd(price, usage) == (cost if cost is None else pytest.approx(cost))


@pytest.mark.parametrize("outcome", ["failed", "cancelled_early", "client_gone", "refused"])
def test_only_an_answer_is_ok(outcome: str) -> None:
    failed = vote(outcome=outcome, error=ProviderError(ErrorKind.STALLED, "silent"))
    assert (failed.ok, failed.error_type) == (False, ErrorKind.STALLED)
    assert (vote().ok, vote().error_type) == (True, None)


def test_a_vote_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        vote().outcome = "failed"  # type: ignore[misc]
