"""From ballots to a ranking: what counts, what breaks ties, and that it can be counted again."""

from __future__ import annotations

import json
import math
import random
from dataclasses import asdict
from typing import Any

import pytest

from router.strategies.fusion.ranking import Candidate, borda, kendall, mean_rank, pearson, recount_council
from router.strategies.fusion.review_order import balanced


def candidates(labels: str, **facts: dict[str, Any]) -> list[Candidate]:
    return [Candidate(label, place=place, **facts.get(label, {})) for place, label in enumerate(labels)]


def test_a_position_is_worth_the_share_of_the_others_it_beats() -> None:
    ranking = borda(candidates("ABCD"), {"A": "BCD", "B": "CAD", "C": "ABD", "D": "ABC"})
    assert {each.label: each.score for each in ranking.standings} == {
        "A": (0.5 + 1 + 1) / 3,
        "B": (1 + 0.5 + 0.5) / 3,
        "C": (0.5 + 1 + 0) / 3,
        "D": 0.0,
    }
    assert ranking.labels == tuple("ABCD")
    assert [(each.first_places, each.ballots) for each in ranking.standings] == [(2, 3), (1, 3), (1, 3), (0, 3)]
    assert not ranking.tied
    assert ranking.margin == pytest.approx(1 / 6)


def test_leaving_out_one_s_own_answer_costs_nobody_a_place() -> None:
    """All agree that A > B > C > D, each as far as it may say so."""
    order = "ABCD"
    ballots = {reviewer: [label for label in order if label != reviewer] for reviewer in order}
    ranking = borda(candidates("DCBA"), ballots)
    assert "".join(ranking.labels) == order
    assert (ranking.standings[0].score, ranking.standings[-1].score) == (1.0, 0.0)
    assert ranking.consensus == 1.0


def test_a_missing_ballot_changes_means_not_sums() -> None:
    ranking = borda(candidates("ABC"), {"A": "BC", "C": "AB"})
    assert {each.label: each.score for each in ranking.standings} == {"A": 1.0, "B": 0.5, "C": 0.0}


TIED = {"X": "AB", "Y": "BA"}


@pytest.mark.parametrize(
    ("facts", "ballots", "winner"),
    [
        # A and B have the same mean, A is cheaper and was first once; but two of three prefer B to A.
        ({"A": {"price": 1}, "B": {"price": 9}}, {"X": "CBAD", "Y": "CBAD", "Z": "ACBD"}, "B"),
        ({"A": {"price": 9.0}, "B": {"price": 1.0}}, TIED, "B"),
        ({"A": {"price": None}, "B": {"price": 1.0}}, TIED, "B"),
        ({"A": {"rank": 2}, "B": {"rank": 1}}, TIED, "B"),
        ({"A": {"rank": 1}, "B": {"rank": 1}}, TIED, "A"),  # then the place in the plan, never at random
    ],
)
def test_ties_go_by_the_duel_then_by_price_then_by_rank(
    facts: dict[str, Any], ballots: dict[str, str], winner: str
) -> None:
    ranking = borda(candidates("".join(sorted(set("".join(ballots.values())))), **facts), ballots)
    tied = {each.score for each in ranking.standings if each.label in "AB"}
    assert len(tied) == 1
    assert next(label for label in ranking.labels if label in "AB") == winner


def test_ties_of_equal_duels_go_by_first_places() -> None:
    """A is twice first and twice last, B always in the middle: equal means, one duel each way."""
    ballots = {"W": "ABC", "X": "ABC", "Y": "CBA", "Z": "CBA"}
    ranking = borda(candidates("ABC", A={"price": 9}, B={"price": 1}, C={"price": 10}), ballots)
    assert {each.score for each in ranking.standings} == {0.5}
    assert ranking.labels == tuple("ACB")
    assert ranking.tied


def test_what_no_ballot_ranked_stands_behind_by_its_place() -> None:
    assert borda(candidates("BAC"), {}).labels == ("B", "A", "C")
    ranking = borda(candidates("BAC"), {"X": "CA"})
    assert ranking.labels == ("C", "A", "B")
    assert [each.score for each in ranking.standings] == [1.0, 0.0, None]
    assert borda(candidates("AB"), {"A": "B", "B": "A"}).standings[0].score is None  # of one, no ranking


@pytest.mark.parametrize(
    ("ballots", "tau"),
    [
        ({"X": "ABC", "Y": "ABC"}, 1.0),
        ({"X": "ABC", "Y": "CBA"}, -1.0),
        ({"X": "ABC", "Y": "ACB"}, 1 / 3),
        ({"X": "ABC", "Y": "ABC", "Z": "CBA"}, -1 / 3),
        ({"A": "BCD", "B": "ACD"}, 1.0),  # they have only C and D in common
        ({"A": "BC", "B": "AC"}, None),
        ({"X": "ABC"}, None),
        ({}, None),
    ],
)
def test_consensus_is_the_mean_tau_of_the_reviewers(ballots: dict[str, str], tau: float | None) -> None:
    assert kendall(ballots) == (None if tau is None else pytest.approx(tau))


@pytest.mark.parametrize(
    ("pairs", "r"),
    [
        ([(1, 1), (2, 2), (3, 3)], 1.0),
        ([(1, 3), (2, 2), (3, 1)], -1.0),
        ([(1, 1), (2, 3), (3, 2)], 0.5),
        ([(1, 1), (1, 2), (1, 3)], None),
        ([(1, 1), (2, 2)], None),
    ],
)
def test_correlation(pairs: list[tuple[float, float]], r: float | None) -> None:
    assert pearson(pairs) == (None if r is None else pytest.approx(r))


def test_a_bias_towards_length_is_seen_by_either_count() -> None:
    longest_first = {"X": "ABC", "Y": "ABC"}
    known = candidates("ABC", A={"chars": 900}, B={"chars": 500}, C={"chars": 100})
    assert borda(known, longest_first).length_bias == pytest.approx(1.0)
    assert mean_rank(known, longest_first).length_bias == pytest.approx(1.0)


def test_the_parity_mode_counts_positions_as_they_come() -> None:
    ranking = mean_rank(candidates("ABC"), {"A": "BAC", "B": "BCA", "C": "ZBB"})
    assert {each.label: each.score for each in ranking.standings} == {"B": 1.75, "A": 2.5, "C": 2.5}
    assert ranking.labels == ("B", "A", "C")  # A was named before C


@pytest.mark.parametrize("aggregate", ["borda", "mean_rank"])
@pytest.mark.parametrize("seed", range(100))
def test_a_recount_of_stored_rows_is_the_same_bit_for_bit(aggregate: str, seed: int) -> None:
    rng = random.Random(seed)
    size = rng.randint(2, 8)
    design = balanced(size, seed)
    known = [
        Candidate(label, rng.randint(1, 9_999), rng.choice([None, rng.uniform(0, 9)]), rng.randint(1, 3), place)
        for place, label in enumerate(design.labels)
    ]
    ballots = {
        design.labels[reviewer]: rng.sample(design.shown_to(reviewer), size - 1)
        for reviewer in range(size)
        if rng.random() < 0.9
    }
    rows = [{"role": "draft", "counted": True, "ballot": asdict(each)} for each in known]
    rows += [{"role": "ballot", "counted": True, "ballot": {"reviewer": a, "ranking": b}} for a, b in ballots.items()]
    spoiled = {"role": "ballot", "counted": False, "ballot": {"reviewer": "A", "ranking": []}}
    rows += [spoiled, {"role": "chair", "counted": True, "ballot": None}]
    first = (borda if aggregate == "borda" else mean_rank)(known, ballots)
    for _ in range(3):
        rng.shuffle(rows)
        again = recount_council(json.loads(json.dumps(rows)), {"aggregate": aggregate})
        assert bits(asdict(again)) == bits(asdict(first))


def bits(thing: Any) -> Any:
    """Floats as their exact hexadecimal."""
    match thing:
        case float():
            return "nan" if math.isnan(thing) else thing.hex()
        case dict():
            return {key: bits(value) for key, value in thing.items()}
        case list() | tuple():
            return [bits(value) for value in thing]
    return thing
