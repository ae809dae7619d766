"""Counting: winners, ties, quorum, and that stopping early never decides otherwise than counting everything."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import permutations, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from router.strategies.majority.tally import Ballot, Tally, count, decided
from router.strategies.table import quorum_of


def ballots(*cast: str | tuple[str, float]) -> list[Ballot]:
    """Votes in the order of their seats; each an answer, or an answer with the seat's weight."""
    pairs = [(vote, 1.0) if isinstance(vote, str) else vote for vote in cast]
    return [Ballot(f"v{at}", key, weight, place=at, seq=at) for at, (key, weight) in enumerate(pairs)]


@pytest.mark.parametrize(("planned", "quorum"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4), (8, 5)])
def test_a_quorum_is_most_of_the_planned(planned: int, quorum: int) -> None:
    assert quorum_of(planned) == quorum


def test_three_to_two() -> None:
    counted = count(ballots("ham", "spam", "spam", "ham", "spam"), quorum=3)
    assert (counted.key, counted.counted, counted.agreement, counted.margin) == ("spam", 5, 0.6, 0.2)
    assert (counted.majority, counted.quorum_met, counted.low_confidence, counted.tie) == (True, True, False, False)
    assert counted.winner == Ballot("v1", "spam", place=1, seq=1)  # the best-placed of those who said so


@pytest.mark.parametrize(
    ("cast", "winner", "agreement", "low", "tie"),
    [
        (["a"], "a", 1.0, True, False),  # one vote where two were needed
        (["a", "a"], "a", 1.0, False, False),
        (["a", "b"], "a", 0.5, True, True),  # by the place of the seats
        (["b", "a"], "b", 0.5, True, True),
        ([("b", 1.0), ("a", 2.0)], "a", 2 / 3, False, False),  # two heads, but one weighs more: no tie
        (["a", "b", "c"], "a", 1 / 3, True, True),
        (["c", "a", "b", "b"], "b", 0.5, True, False),  # a plurality
        (["c", "a", "b", "b", "b"], "b", 0.6, False, False),
        ([("a", 0.3), ("b", 0.1), ("b", 0.2)], "a", 0.5, True, True),  # a tie that floats would not see
        ([("a", 100.0), "b", "b"], "a", 100 / 102, False, False),
        (["b", "a", "a", "b"], "b", 0.5, True, True),
    ],
)
def test_who_wins(cast: list[Any], winner: str, agreement: float, low: bool, tie: bool) -> None:
    counted = count(ballots(*cast), quorum=2)
    assert (counted.key, counted.low_confidence, counted.tie) == (winner, low, tie)
    assert counted.agreement == agreement


def test_nobody_has_won_where_nobody_voted() -> None:
    assert count([], 2) == Tally()
    assert not count([], 2).low_confidence  # there is nothing to be confident of


def test_one_more_vote_breaks_a_tie_and_it_stays_told() -> None:
    cast = [*ballots("a", "b"), Ballot("v2", "b", place=2, seq=2, tie_breaker=True)]
    counted = count(cast, quorum=2)
    assert (counted.key, counted.tie, counted.tied, counted.low_confidence) == ("b", True, False, False)


def test_a_tie_that_stays_goes_to_the_best_seat() -> None:
    cast = [*ballots("a", "b"), Ballot("v2", "c", place=2, seq=2, tie_breaker=True)]
    counted = count(cast, quorum=2)
    assert (counted.key, counted.tie, counted.tied, counted.agreement) == ("a", True, True, 1 / 3)


# --- stopping early ---------------------------------------------------------------------------------------------------

KEYS = "abcd"


def outcomes(cast: Sequence[Ballot], out: Sequence[float], quorum: int, *, fail: bool) -> Iterator[tuple[Any, ...]]:
    """Every decision that the votes still out could lead to: each for an old answer, for a new one, or for none."""
    known = {ballot.key for ballot in cast}
    choices = [None, *known, *(f"new{at}" for at in range(len(out)))]
    for votes in product(choices, repeat=len(out)):
        late = [
            Ballot(f"late{at}", key, weight, place=50 + at)
            for at, (key, weight) in enumerate(zip(votes, out, strict=True))
            if key is not None
        ]
        done = count([*cast, *late], quorum)
        if fail and not done.quorum_met:
            yield ("no quorum",)
        else:
            yield ("tie",) if done.tied else (done.key, done.quorum_met, done.low_confidence)


WEIGHT = some.sampled_from([1.0, 1.0, 1.0, 2.0, 0.5, 0.1, 3.0])


@settings(max_examples=400, deadline=None)
@given(
    cast=some.lists(some.tuples(some.sampled_from(KEYS), WEIGHT), max_size=5),
    out=some.lists(WEIGHT, max_size=3),
    quorum=some.integers(1, 5),
    fail=some.booleans(),
)
def test_decided_is_exact(cast: list[tuple[str, float]], out: list[float], quorum: int, fail: bool) -> None:
    """It says so if and only if all that could still come leads to the same decision."""
    given_ = ballots(*cast)
    led_to = set(outcomes(given_, out, quorum, fail=fail))
    sure = decided(given_, out, quorum, on_no_quorum="fail" if fail else "degrade")
    assert sure == (not out or len(led_to) == 1)


@settings(max_examples=400)
@given(
    votes=some.lists(some.tuples(some.sampled_from([*KEYS, None]), WEIGHT), min_size=1, max_size=8),
    seed=some.integers(0, 2**32),
)
def test_the_early_result_is_the_full_one(votes: list[tuple[str | None, float]], seed: int) -> None:
    """Over random votes, weights, spoiled and failed ones and orders of arrival."""
    quorum = quorum_of(len(votes))
    cast = [
        (None if key is None else Ballot(f"v{at}", key, weight, place=at, seq=at), weight)
        for at, (key, weight) in enumerate(votes)
    ]
    full = count([ballot for ballot, _ in cast if ballot], quorum)
    random.Random(seed).shuffle(cast)
    for arrived in range(len(cast) + 1):
        known = [ballot for ballot, _ in cast[:arrived] if ballot]
        out = [weight for _, weight in cast[arrived:]]
        if decided(known, out, quorum):
            early = count(known, quorum)
            assert not (full.tied and out)
            assert (early.key, early.quorum_met, early.low_confidence) == (
                full.key,
                full.quorum_met,
                full.low_confidence,
            )
            return
    pytest.fail("all votes are in, and it is not decided")


@settings(max_examples=200)
@given(
    cast=some.lists(some.tuples(some.sampled_from(KEYS), WEIGHT), min_size=1, max_size=5),
    out=some.lists(some.tuples(some.sampled_from(KEYS), WEIGHT), max_size=3),
    merged=some.dictionaries(some.sampled_from(KEYS), some.sampled_from(KEYS)),
)
def test_no_later_grouping_changes_what_was_decided_before_it(
    cast: list[tuple[str, float]], out: list[tuple[str, float]], merged: dict[str, str]
) -> None:
    early = ballots(*cast)
    if decided(early, [weight for _, weight in out], 1, mergeable=True) and out:
        grouped = ballots(*((merged.get(key, key), weight) for key, weight in [*cast, *out]))
        leader = count(early, 1).key
        assert leader is not None
        assert count(grouped, 1).key == merged.get(leader, leader)


@pytest.mark.parametrize(
    ("cast", "out", "quorum", "expected"),
    [
        ("aa", 1, 2, True),
        ("a", 2, 2, False),
        ("aaa", 2, 3, True),
        ("aab", 2, 3, False),
        ("aaab", 1, 3, True),
        ("aabc", 1, 3, False),
        ("aaabc", 2, 4, False),  # who wins is sure, but a majority is not
        ("", 1, 2, False),
        ("ab", 0, 2, True),
        ("", 0, 2, True),
    ],
)
def test_when_the_rest_is_no_longer_needed(cast: str, out: int, quorum: int, expected: bool) -> None:
    assert decided(ballots(*cast), [1.0] * out, quorum) is expected


def test_a_heavy_seat_does_not_decide_before_the_quorum() -> None:
    assert not decided(ballots(("a", 100.0)), [1.0, 1.0], 2)
    assert decided(ballots(("a", 100.0), "b"), [1.0], 2)


def test_a_quorum_that_cannot_be_met_is_known_at_once_where_it_fails() -> None:
    assert decided(ballots("a"), [1.0], 3, on_no_quorum="fail")
    assert not decided(ballots("a"), [1.0], 3)


def test_the_order_of_arrival_makes_no_difference() -> None:
    cast = ballots(("a", 0.1), ("b", 0.3), ("a", 0.2), "c")
    assert len({count(order, 2) for order in permutations(cast)}) == 1
