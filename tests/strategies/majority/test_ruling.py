"""The rule: when there is no answer, when nothing can change that any more, and counting again from the log."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from router.strategies.majority.ruling import Cast, VotingRule, is_settled, recount, rule_on
from router.strategies.majority.tally import Ballot, count
from tests.strategies.majority.test_tally import KEYS, WEIGHT, ballots

SOFT = VotingRule.of(3, "degrade", "reject")
HARD = VotingRule.of(3, "fail", "reject")
GROUPED = VotingRule.of(3, "degrade", "cluster")


def cast(*keys: str, form: str = "label", prose: int = 0) -> Cast:
    return Cast(tuple(ballots(*keys)), dict.fromkeys(keys, form), prose)


@pytest.mark.parametrize(
    ("given_", "rule", "refused"),
    [
        (cast("a", "a", "b"), HARD, None),
        (cast("a"), SOFT, None),
        (cast("a"), HARD, "no_quorum"),
        (cast(), SOFT, "no_quorum"),  # nothing to degrade to
        (cast("a", "b", "c"), SOFT, None),  # labels: three opinions
        (cast("a", "b", "c", form="text"), SOFT, "free_text_vote"),  # words: perhaps one opinion
        (cast("a", "a", "b", form="text"), SOFT, None),
        (cast("a", form="text"), SOFT, None),
        (cast("a", "b", form="number"), SOFT, None),
        (cast("a", prose=2), SOFT, "free_text_vote"),
        (cast("a", "a", prose=1), SOFT, None),
        (cast(prose=3), HARD, "free_text_vote"),
        (cast("a", "b", "c", form="prose"), GROUPED, None),
    ],
)
def test_when_there_is_no_answer(given_: Cast, rule: VotingRule, refused: str | None) -> None:
    ruling = rule_on(given_, rule)
    assert ruling.refused == refused
    assert (ruling.key is None) == (refused is not None)


@pytest.mark.parametrize(
    ("given_", "out", "rule", "settled"),
    [
        (cast("a", "a"), 1, SOFT, True),
        (cast("a", "b"), 1, SOFT, False),
        (cast("a", "b", form="text"), 0, SOFT, True),
        (cast(prose=2), 1, SOFT, True),  # no quorum any more, and it is known why
        (cast(prose=1), 2, SOFT, False),
        (cast("a", "a", form="text"), 1, GROUPED, True),  # whatever is grouped with whatever
        (cast("a", "b", form="prose"), 1, GROUPED, False),
        (cast("a"), 2, HARD, False),
        (cast(), 1, HARD, True),
    ],
)
def test_when_the_rest_cannot_change_it(given_: Cast, out: int, rule: VotingRule, settled: bool) -> None:
    assert is_settled(given_, [1.0] * out, rule) is settled


def test_a_heavy_word_waits_for_a_second_opinion() -> None:
    heavy = Cast(tuple(ballots(("a", 10.0), "b")), {"a": "text", "b": "text"})
    assert not is_settled(heavy, [1.0], SOFT)  # if the third agrees with nobody it is free text, else a vote
    assert is_settled(Cast(heavy.ballots, {"a": "number", "b": "number"}), [1.0], SOFT)


@given(
    voted=some.lists(some.tuples(some.sampled_from(KEYS), WEIGHT), min_size=1, max_size=8),
    seed=some.integers(0, 2**32),
)
def test_the_rows_tell_the_same_in_any_order(voted: list[tuple[str, float]], seed: int) -> None:
    given_ = ballots(*voted)
    rows = [row(ballot) for ballot in given_]
    rows.append(row(Ballot("spoiled", "e", 9.0), answer_key=None, counted=False, ballot=None))
    rows.append(row(Ballot("judge", "e", 9.0), role="judge", answer_key=None, weight=None))
    random.Random(seed).shuffle(rows)
    assert recount(rows, {"quorum": 2}).count == count(given_, 2)


def test_another_rule_decides_otherwise() -> None:
    rows = [row(ballot, provider="p", model=ballot.key) for ballot in ballots("x/1", "y")]
    assert recount(rows, {"quorum": 2}).count.tie
    assert recount(rows, {"quorum": 2, "weights": {"p/y": 1.5}}).key == "y"
    assert recount(rows, {"quorum": 3}).count.low_confidence
    assert recount(rows, {"quorum": 3, "on_no_quorum": "fail"}).refused == "no_quorum"


def test_the_logged_rule_is_enough() -> None:
    rule = VotingRule.of(3, "fail", "reject", kind="label", labels=["a"])
    assert rule.as_dict().items() >= {"planned": 3, "quorum": 2, "on_no_quorum": "fail", "kind": "label"}.items()
    assert recount([row(ballots("a")[0])], rule.as_dict()).refused == "no_quorum"


def row(cast_: Ballot, /, **facts: Any) -> dict[str, Any]:
    noted = {"place": cast_.place, "form": "label"}
    usual = {"vote_id": cast_.vote_id, "role": "answer", "seq": cast_.seq, "weight": cast_.weight}
    return {**usual, "answer_key": cast_.key, "counted": True, "ballot": noted, **facts}
