"""Retries stay a share of the requests, in whatever rhythm both come."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as some

from router.guards.retry_budget import RetryBudget
from router.guards.rolling import RollingCount
from tests.support.small_registry import FakeTime

WANTED_TRIES = 3  # what every failing request would like to have


def retries(time: FakeTime, budget: RetryBudget, requests: int, rps: float) -> int:
    """How many retries are allowed while every request fails."""
    allowed = 0
    for _ in range(requests):
        budget.request()
        allowed += sum(budget.try_again() for _ in range(WANTED_TRIES))
        time.pass_(1 / rps)
    return allowed


@pytest.mark.parametrize("for_s", [10, 60])
def test_an_outage_costs_a_quarter_more_calls_and_not_four_times_as_many(for_s: int) -> None:
    time = FakeTime()
    requests = 100 * for_s
    allowed = retries(time, RetryBudget(time.clock), requests, rps=100)
    assert 0.15 * requests <= allowed <= 0.25 * requests


def test_little_traffic_may_always_retry() -> None:
    time = FakeTime()
    assert retries(time, RetryBudget(time.clock), requests=100, rps=0.25) == 100 * WANTED_TRIES


def test_what_is_spent_comes_back_with_the_window() -> None:
    time = FakeTime()
    budget = RetryBudget(time.clock, share=0.5, window_s=10, floor=2)
    for _ in range(4):
        budget.request()
    assert [budget.try_again() for _ in range(6)] == [True] * 4 + [False] * 2
    time.pass_(8)
    assert not budget.try_again()
    time.pass_(3)
    assert [budget.try_again() for _ in range(3)] == [True, True, False]  # the floor alone: the requests are old too


@given(some.lists(some.floats(0, 70), max_size=60), some.integers(1, 12))
def test_a_rolling_count_is_exact_to_one_slice(gaps_s: list[float], slices: int) -> None:
    time = FakeTime(monotonic=0.0)
    count = RollingCount(time.clock, window_s=60.0, slices=slices)
    happened: list[float] = []
    for now in accumulate(gaps_s):
        time.pass_(now - time.monotonic)
        count.add()
        happened.append(now)
        at_least = sum(at > now - 60 + 60 / slices + 0.001 for at in happened)
        assert at_least <= count.total() <= sum(at > now - 60.001 for at in happened)
    time.pass_(60.001)
    assert count.total() == 0
