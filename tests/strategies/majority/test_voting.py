"""How much weight is still out, which is what stopping early rests on: never too little."""

from __future__ import annotations

import pytest

from adapters.errors import ErrorKind, ProviderError
from adapters.types import Answer
from router.core.vote import Vote
from router.strategies.majority.voting import VoterPanel, still_out
from tests.core.test_vote import vote
from tests.strategies.majority.voters import Voters, panel_of

BROKEN, WRONG = ErrorKind.SERVER_ERROR, ErrorKind.INVALID_REQUEST


@pytest.mark.parametrize(
    ("weights", "ended", "out"),
    [
        ([1, 2, 4], {}, [1, 2, 4]),
        ([1, 2, 4], {1: None}, [1, 4]),
        ([1, 2, 4], {1: BROKEN}, [1, 4]),  # nobody stands in for it
        ([1, 2, 4, 1], {1: BROKEN}, [1, 4, 1]),  # the fourth does
        ([1, 2, 4, 1], {1: WRONG}, [1, 4]),  # the request itself is wrong: nobody else is asked
        ([1, 2, 4, 1], {1: BROKEN, 3: BROKEN}, [1, 4]),
        ([1, 2, 4, 1], {1: BROKEN, 3: None}, [1, 4]),
        ([1, 2, 4, 3], {2: None}, [3, 3]),  # whoever fails may be replaced by a heavier one
        ([1, 2, 4, 3, 9], {0: BROKEN}, [9, 9, 9]),
        ([1, 2, 4], {0: None, 1: None, 2: None}, []),
    ],
)
def test_the_weight_still_out(weights: list[float], ended: dict[int, ErrorKind | None], out: list[float]) -> None:
    voters = Voters(*["yes"] * len(weights), home=panel_of(len(weights), weights=weights), council_size=3)
    panel = VoterPanel.of(voters.plan, voters.calls.request, 1)
    assert sorted(still_out(panel, [_ended(voters, at, kind) for at, kind in ended.items()])) == sorted(out)


def test_each_sample_of_a_seat_is_out_by_itself() -> None:
    voters = Voters("yes", home=panel_of(1, weights=[2]), council_size=3)
    panel = VoterPanel.of(voters.plan, voters.calls.request, 1)
    assert still_out(panel, []) == [2, 2, 2]
    assert still_out(panel, [_ended(voters, 0, None)]) == [2, 2]


def _ended(voters: Voters, at: int, kind: ErrorKind | None) -> Vote:
    seat = voters.plan.seats[at]
    if kind is None:
        return vote(seat=seat, answer=Answer("yes"))
    return vote(seat=seat, outcome="failed", error=ProviderError(kind, "no"))
