"""What limits pay for: probes never take more than their share, and less than one a day is one in several."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthcheck.budget import Grant, ProbeBudget, grants, keys
from healthcheck.subjects import SubjectLimit
from tests.healthcheck.timeline import DAY, HOUR, MINUTE, a_day, most_within, subject


def only(limit: SubjectLimit, *, sharers: int = 1, listing: bool = False, share: float = 0.05) -> Grant:
    """What one limit of one model pays for."""
    one = subject("groq/small", limit, probe_share=share)
    everybody = {key: sharers for key, _ in keys(one, listing=listing)}
    [grant] = grants(one, listing=listing, sharers=everybody)
    return grant


@pytest.mark.parametrize(
    ("limit", "probes", "period_s"),
    [
        (a_day(20), 1, DAY),
        (a_day(50), 2, DAY),
        (a_day(250), 12, DAY),
        (a_day(14_400), 720, DAY),
        (a_day(10), 1, 2 * DAY),  # half a probe a day
        (a_day(1), 1, 20 * DAY),
        (SubjectLimit("requests", 1000, 30 * DAY, True), 50, 30 * DAY),
        (SubjectLimit("tokens", 200_000, DAY, False), 100, DAY),
        (SubjectLimit("neurons", 10_000, DAY, True), 50, DAY),
        (SubjectLimit("usd", 1, DAY, True), 50, DAY),
    ],
)
def test_a_limit_pays_for_a_twentieth_in_probes(limit: SubjectLimit, probes: int, period_s: float) -> None:
    grant = only(limit)
    assert grant.probes == probes
    assert grant.period_s == pytest.approx(period_s)


@pytest.mark.parametrize(
    ("limit", "sharers", "pace_s"),
    [
        (a_day(20), 1, DAY),
        (a_day(50), 1, DAY / 2),
        (a_day(250), 1, DAY / 9),  # a quarter of twelve is kept for what is broken
        (a_day(250, shared=True), 4, 4 * DAY / 9),
        (a_day(50, shared=True), 5, 5 * DAY / 2),
    ],
)
def test_models_that_share_a_limit_take_turns(limit: SubjectLimit, sharers: int, pace_s: float) -> None:
    assert only(limit, sharers=sharers).pace_s == pytest.approx(pace_s)


def test_a_large_limit_does_not_hurry_the_rounds_and_leaves_the_rest_to_what_is_broken() -> None:
    grant = only(a_day(14_400))
    assert grant.pace_s <= 300
    assert grant.spare == 400


def test_minutes_are_not_counted_and_nothing_pays_for_a_share_of_none() -> None:
    by_the_minute = subject(
        "groq/small", SubjectLimit("requests", 5, MINUTE, True), SubjectLimit("tokens", 1e6, HOUR, True)
    )
    assert list(grants(by_the_minute, listing=False, sharers={})) == []
    assert only(a_day(1000), share=0.0).pace_s == math.inf


def test_a_listing_takes_from_the_requests_of_the_account_alone() -> None:
    limits = (a_day(1000, shared=True), a_day(20), SubjectLimit("tokens", 200_000, DAY, True))
    [grant] = grants(subject("nvidia/small", *limits), listing=True, sharers={})
    assert (grant.key, grant.probes) == (("nvidia", "requests", DAY), 50)


@given(
    gaps=st.lists(st.floats(0, 20_000), max_size=300),
    requests=st.sampled_from([20, 50, 250, 3000]),
    extras=st.lists(st.booleans(), min_size=1),
)
def test_no_window_ever_holds_more_than_it_grants(gaps: list[float], requests: float, extras: list[bool]) -> None:
    budget, grant, now = ProbeBudget(), only(a_day(requests)), 0.0
    made: list[float] = []
    extra_made: list[float] = []
    for number, gap_s in enumerate(gaps):
        now += gap_s
        extra = extras[number % len(extras)]
        if budget.affords([grant], now, extra=extra):
            budget.charge([grant], now, extra=extra)
            (extra_made if extra else made).append(now)
    assert most_within(made + extra_made, DAY) <= grant.probes
    assert most_within(extra_made, DAY) <= grant.spare


def test_what_a_limit_has_given_comes_back_after_its_period_and_no_earlier() -> None:
    budget, grant = ProbeBudget(), only(a_day(20))
    budget.charge([grant], 0.0, extra=False)
    assert not budget.affords([grant], DAY - 1, extra=False)
    assert budget.affords([grant], DAY, extra=False)


def test_a_probe_that_is_heard_of_late_gives_nothing_back_early() -> None:
    budget, grant = ProbeBudget(), only(a_day(50))
    budget.charge([grant], 100.0, extra=False)
    budget.charge([grant], 0.0, extra=False)
    assert not budget.affords([grant], DAY + 50, extra=False)
    assert budget.affords([grant], DAY + 100, extra=False)


def test_what_a_removed_model_spent_is_remembered_until_it_would_be_back() -> None:
    budget, grant = ProbeBudget(), only(a_day(20))
    budget.charge([grant], 0.0, extra=False)
    budget.forget_spent(DAY - 1)
    assert not budget.affords([grant], DAY - 1, extra=False)
