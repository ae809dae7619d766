"""Counts votes: which answer has won, by how much, and from when on no vote still out can change that. Pure.

Weights are added as exact fractions of their decimal form, so that 0.1 + 0.2 ties with 0.3 and no order of arrival
makes a difference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from router.core.strategy_options import OnNoQuorum


@dataclass(frozen=True, slots=True)
class Ballot:
    """A valid vote as it is counted. `place` is its seat's position in the plan and `seq` the order of asking: lower
    is better, and together they decide between answers of equal weight. `plain` says that the answer's words are its
    key and nothing else: of equal answers, that is the one a caller can use as it is.
    """

    vote_id: str
    key: str
    weight: float = 1.0
    place: int = 0
    seq: int = 0
    tie_breaker: bool = False
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Tally:
    """The outcome of a count. `agreement` and `margin` are shares of the valid weight; `winner` speaks for `key`.

    `tie` says that the leading answers had equal weight before a tie-breaker was asked; `tied` that they still have.
    """

    key: str | None = None
    winner: Ballot | None = None
    counted: int = 0
    agreement: float | None = None
    margin: float | None = None
    tie: bool = False
    tied: bool = False
    majority: bool = False
    quorum_met: bool = False

    @property
    def low_confidence(self) -> bool:
        """True for an answer that has no majority of the valid weight, or too few votes behind the decision."""
        return self.winner is not None and not (self.majority and self.quorum_met)


def count(ballots: Iterable[Ballot], quorum: int) -> Tally:
    """Counts the ballots: the greatest weight wins; of equal ones, the answer of the best-placed seat."""
    ballots = sorted(ballots, key=lambda ballot: (ballot.place, ballot.seq))
    if not ballots:
        return Tally()
    weights = weights_by_key(ballots)
    ranked = sorted(weights, key=lambda key: -weights[key])  # stable: equal weights stay in the order of their seats
    first, second = weights[ranked[0]], weights[ranked[1]] if len(ranked) > 1 else Fraction(0)
    valid = sum(weights.values())
    return Tally(
        key=ranked[0],
        winner=min((ballot for ballot in ballots if ballot.key == ranked[0]), key=lambda ballot: not ballot.plain),
        counted=len(ballots),
        agreement=float(first / valid),
        margin=float((first - second) / valid),
        tie=_tied(weights_by_key(ballot for ballot in ballots if not ballot.tie_breaker)),
        tied=first == second,
        majority=2 * first > valid,
        quorum_met=len(ballots) >= quorum,
    )


def weights_by_key(ballots: Iterable[Ballot]) -> dict[str, Fraction]:
    """The weight behind each answer, in the order in which the answers come."""
    weights: dict[str, Fraction] = defaultdict(Fraction)
    for ballot in ballots:
        weights[ballot.key] += exact(ballot.weight)
    return dict(weights)


def decided(
    ballots: Sequence[Ballot],
    out: Sequence[float],
    quorum: int,
    *,
    on_no_quorum: OnNoQuorum = "degrade",
    mergeable: bool = False,
) -> bool:
    """True exactly when no outcome of the votes still `out` (weights) could change the decision.

    A vote that is out may go to any answer, a new one included, or be spoiled or fail. What must stand is what is
    reported as the decision: the winner, whether it has a majority, whether there is a quorum. `mergeable` is for
    answers that may yet be found equal to each other: then only a majority stands.
    """
    if not out:
        return True
    met, missed = len(ballots) >= quorum, len(ballots) + len(out) < quorum
    if missed and on_no_quorum == "fail":
        return True
    if not (met or missed):
        return False
    weights = sorted(weights_by_key(ballots).values(), reverse=True)
    first, others, coming = sum(weights[:1]), sum(weights[1:]), sum(map(exact, out))
    if first > others + coming:
        return True
    never_a_majority = first + coming <= others
    return not mergeable and (missed or never_a_majority) and first > sum(weights[1:2]) + coming


def exact(weight: float) -> Fraction:
    """A weight as the exact fraction that the registry writes."""
    return Fraction(repr(weight))


def _tied(weights: Mapping[str, Fraction]) -> bool:
    best = sorted(weights.values(), reverse=True)[:2]
    return len(best) == 2 and best[0] == best[1]
