"""The rule of a majority vote, applied to ballots as they come or as they were logged: it decides, or refuses. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from adapters.types import NOTHING
from router.core.strategy_options import FreeText, OnNoQuorum
from router.strategies.majority.tally import Ballot, Tally, count, decided
from router.strategies.table import quorum_of

Refused = Literal["no_quorum", "free_text_vote"]


@dataclass(frozen=True, slots=True)
class VotingRule:
    """How many votes are `planned` and needed, and what happens without them; `words` go into the log as they are."""

    planned: int
    quorum: int
    on_no_quorum: OnNoQuorum = "degrade"
    free_text: FreeText = "reject"
    words: Mapping[str, Any] = field(default_factory=lambda: NOTHING)

    @classmethod
    def of(cls, planned: int, on_no_quorum: OnNoQuorum, free_text: FreeText, **words: Any) -> VotingRule:
        """The rule for so many voters."""
        return cls(planned, quorum_of(planned), on_no_quorum, free_text, words)

    def as_dict(self) -> dict[str, Any]:
        """What is logged with the request."""
        return {
            "planned": self.planned,
            "quorum": self.quorum,
            "on_no_quorum": self.on_no_quorum,
            "free_text": self.free_text,
            "ties": "one more vote, then the best-placed seat",
            **self.words,
        }


@dataclass(frozen=True, slots=True)
class Cast:
    """The ballots so far, the form of each answer by its key, and how many answers in `prose` are not among them."""

    ballots: tuple[Ballot, ...] = ()
    forms: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    prose: int = 0


@dataclass(frozen=True, slots=True)
class Ruling:
    """The count, and why it is refused as a decision, if it is."""

    count: Tally
    refused: Refused | None = None

    @property
    def key(self) -> str | None:
        """The key of the winning answer; None where the count is refused."""
        return None if self.refused else self.count.key


def rule_on(cast: Cast, rule: VotingRule) -> Ruling:
    """Counts the ballots. Free text that nobody grouped is refused: different words do not prove different answers.

    So is a vote without a quorum where the rule says `fail`, and one without any valid ballot.
    """
    counted = count(cast.ballots, rule.quorum)
    if rule.free_text == "reject" and (_all_in_different_words(cast) or (cast.prose and not counted.quorum_met)):
        return Ruling(counted, "free_text_vote")
    if counted.winner is None or (rule.on_no_quorum == "fail" and not counted.quorum_met):
        return Ruling(counted, "no_quorum")
    return Ruling(counted)


def is_settled(cast: Cast, out: Sequence[float], rule: VotingRule) -> bool:
    """True when the votes still `out` (weights) can no longer change the ruling; see `tally.decided`."""
    if rule.free_text == "reject" and cast.prose and len(cast.ballots) + len(out) < rule.quorum:
        return True
    if out and rule.free_text == "reject" and _all_in_different_words(cast):
        return False
    mergeable = rule.free_text == "cluster" and any(form in ("text", "prose") for form in cast.forms.values())
    return decided(cast.ballots, out, rule.quorum, on_no_quorum=rule.on_no_quorum, mergeable=mergeable)


def recount(rows: Iterable[Mapping[str, Any]], rule: Mapping[str, Any]) -> Ruling:
    """Decides a logged request again, from its rows in `votes` and its `rule`.

    Rows need `vote_id`, `role`, `seq`, `weight`, `answer_key`, `counted` and `ballot` as they were logged. Another rule
    tells what it would have decided: another `quorum`, `on_no_quorum` or `free_text`, or `weights` by `provider/model`.
    """
    weights = rule.get("weights", NOTHING)
    ballots: list[Ballot] = []
    forms: dict[str, str] = {}
    prose = 0
    for row in rows:
        noted = row.get("ballot") or {}
        if row["role"] != "answer" or not row["counted"]:
            prose += noted.get("form") == "prose"
            continue
        forms[row["answer_key"]] = noted.get("form", "")
        ballots.append(
            Ballot(
                vote_id=str(row["vote_id"]),
                key=row["answer_key"],
                weight=float(weights.get(f"{row.get('provider')}/{row.get('model')}", row["weight"])),
                place=noted.get("place", 0),
                seq=row["seq"],
                tie_breaker=noted.get("tie_breaker", False),
                plain=noted.get("plain", False),
            )
        )
    known = VotingRule(
        rule.get("planned", 0), rule["quorum"], rule.get("on_no_quorum", "degrade"), rule.get("free_text", "reject")
    )
    return rule_on(Cast(tuple(ballots), forms, prose), known)


def _all_in_different_words(cast: Cast) -> bool:
    """No two answers agree and some are plain words: as likely as not, they say one thing in several ways."""
    heads = Counter(ballot.key for ballot in cast.ballots)
    return len(heads) > 1 and max(heads.values()) == 1 and "text" in cast.forms.values()
