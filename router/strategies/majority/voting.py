"""The panel of voters, the reading of their answers, and the weight that is still out: majority-vote without calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adapters.errors import POLICY
from adapters.types import ChatRequest
from router.calls.calls import Ask
from router.core.plan import Plan
from router.core.registry import Seat
from router.core.strategy_options import VoteOptions
from router.core.vote import Vote
from router.strategies.majority.answer_key import AnswerKey, BallotKind, ballot_kind, key_of
from router.strategies.majority.ruling import Cast, VotingRule
from router.strategies.majority.tally import Ballot
from router.strategies.table import STRATEGIES, size_of

_SAMPLING_TEMPERATURE = 0.7  # as in Wang et al., Self-Consistency (2022): at 0 a second sample says nothing new


@dataclass(frozen=True, slots=True)
class VoterPanel:
    """The calls of a vote, one a voter, and the seats that stand in for those that fail."""

    asks: tuple[Ask, ...]
    spares: tuple[Seat, ...]
    sampled: bool

    @classmethod
    def of(cls, plan: Plan, request: ChatRequest, seed: int) -> VoterPanel:
        """The plan's first seats; where they are too few, several samples of each. `seed` tells samples apart."""
        facts = STRATEGIES[plan.strategy]
        seats, size = facts.first_asked(plan), facts.size(plan)
        asks = (ask_again(seat, request, seed, at // len(plan.seats)) for at, seat in enumerate(seats))
        return cls(tuple(asks), plan.seats[size:], sampled=size > len(plan.seats))


def ask_again(seat: Seat, request: ChatRequest, seed: int, sample: int) -> Ask:
    """The caller's own request for a seat's first `sample` (0); the others have a seed each, and some temperature."""
    if sample == 0:
        return Ask(seat)
    seeds = {"seed": (request.params.get("seed", seed) + sample) % 2**31} if _supports(seat, "seed") else {}
    cold = request.params.get("temperature", 1.0) < _SAMPLING_TEMPERATURE
    heat = {"temperature": _SAMPLING_TEMPERATURE} if cold and _supports(seat, "temperature") else {}
    params = {**request.params, **seeds, **heat}
    return Ask(seat, request=replace(request, params=params), ballot={"sample": sample})


def rule_for(plan: Plan, request: ChatRequest) -> tuple[VotingRule, BallotKind]:
    """The rule of this vote and how its answers are read: as the caller asked, else as the registry says."""
    options, defaults = plan.options, plan.settings(VoteOptions)
    kind = ballot_kind(options.labels, request.response_format, defaults.ignore)
    rule = VotingRule.of(
        size_of(plan),
        options.on_no_quorum or defaults.on_no_quorum,
        options.free_text or defaults.free_text,
        kind=kind.name,
        labels=list(kind.labels),
        ignore=list(kind.ignored),
    )
    return rule, kind


class Reader:
    """Reads each vote once, as a ballot of its seat's weight and place, and remembers it."""

    def __init__(self, plan: Plan, kind: BallotKind, rule: VotingRule) -> None:
        self._places = {seat.id: place for place, seat in enumerate(plan.seats)}
        self._kind = kind
        self._counts_prose = rule.free_text == "cluster" and kind.name == "open"
        self._keys: dict[str, AnswerKey | None] = {}

    def key(self, vote: Vote) -> AnswerKey | None:
        """The key that the vote's answer is compared by; None if there is no answer, or it is spoiled."""
        if vote.answer is None:
            return None
        if vote.vote_id not in self._keys:
            self._keys[vote.vote_id] = key_of(vote.answer, self._kind)
        return self._keys[vote.vote_id]

    def cast(self, votes: Iterable[Vote], same: Mapping[str, str] | None = None) -> Cast:
        """The ballots among the votes; `same` maps a key to that of the answer that was found to say the same."""
        same = same or {}
        read = [(vote, key) for vote in votes if (key := self.key(vote)) is not None]
        counted = [(vote, key) for vote, key in read if self._counts_prose or key.form != "prose"]
        return Cast(
            ballots=tuple(self._ballot(vote, same.get(key.value, key.value)) for vote, key in counted),
            forms={key.value: key.form for _, key in counted},
            prose=len(read) - len(counted),
        )

    def noted(self, vote: Vote) -> dict[str, Any]:
        """The facts stored with a vote, beside its key and weight, so that it can be counted again."""
        key = self.key(vote)
        facts = {"place": self._places[vote.seat.id], "form": key.form, "plain": _is_plain(vote, key)} if key else {}
        return {**(vote.ballot or {}), **facts}

    def _ballot(self, vote: Vote, key: str) -> Ballot:
        noted = self.noted(vote)
        return Ballot(
            vote_id=vote.vote_id,
            key=key,
            weight=vote.seat.model.weight,
            place=noted["place"],
            seq=vote.seq,
            tie_breaker=noted.get("tie_breaker", False),
            plain=noted["plain"],
        )


def still_out(panel: VoterPanel, votes: Sequence[Vote]) -> list[float]:
    """The weights of the voters that have not ended, each as heavy as it or a seat that may yet stand in for it."""
    lost = sum(not vote.ok and vote.error is not None and POLICY[vote.error.kind].next_target != "no" for vote in votes)
    asked = Counter(seat.id for seat in panel.spares[:lost]) + Counter(ask.seat.id for ask in panel.asks)
    heaviest_spare = max((seat.model.weight for seat in panel.spares[lost:]), default=0.0)
    weights = {seat.id: seat.model.weight for seat in (*panel.spares, *(ask.seat for ask in panel.asks))}
    out = asked - Counter(vote.seat.id for vote in votes)
    return [max(weights[seat_id], heaviest_spare) for seat_id in out.elements()]


def _is_plain(vote: Vote, key: AnswerKey) -> bool:
    return vote.answer is not None and vote.answer.text.strip() == key.value


def _supports(seat: Seat, capability: str) -> bool:
    return seat.model.supports is None or capability in seat.model.supports
