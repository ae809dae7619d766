"""The second stage of a council: each member that wrote a draft ranks what the others wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.types import Answer, ChatRequest, Message, Text
from router.calls.calls import Ask, Calls
from router.core.decision import Mark
from router.core.vote import Vote
from router.strategies.fencing import answer_chars, conversation, fenced, readable
from router.strategies.fusion.ballots import Ballot
from router.strategies.fusion.drafting import Stage, grace
from router.strategies.fusion.prompts import filled
from router.strategies.fusion.ranking import AGGREGATES, Candidate, Ranking
from router.strategies.fusion.review_order import Design
from router.strategies.fusion.styles import Style

_REPEATED_CHARS = 2_000  # of a reply that is to be repaired


@dataclass(frozen=True, slots=True)
class Panel:
    """The drafts under review, best seat first, with how they are shown and told apart."""

    request: ChatRequest
    drafts: tuple[Vote, ...]
    design: Design
    style: Style
    wordings: Mapping[str, str]
    nonce: str
    seed: int

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The drafts as they are ranked."""
        return tuple(
            Candidate(label, len(_text(vote)), _price(vote), vote.seat.rank, place)
            for place, (label, vote) in enumerate(zip(self.design.labels, self.drafts, strict=True))
        )

    def named(self, label: str) -> str:
        """Whose draft it is that stands under a label: nobody who ranks is told."""
        return self.drafts[self.design.labels.index(label)].seat.id

    def quoted(self, member: int, name: str = "") -> str:
        """A member's draft between fences, under its label or another name."""
        called = name or f"{self.style.noun} {self.design.labels[member]}"
        return fenced(called, _text(self.drafts[member]), self.nonce, answer_chars(len(self.drafts)))


@dataclass(frozen=True, slots=True)
class Review:
    """One reviewer's reply, and how it was read; `round` 2 is a repair."""

    reviewer: int
    vote: Vote
    ballot: Ballot
    round: int = 1


@dataclass(frozen=True, slots=True)
class Reviews:
    """All that was said in the stage; `counted` is each reviewer's ballot, where it could be read in the end."""

    all: tuple[Review, ...] = ()
    stage: Stage | None = None

    @property
    def counted(self) -> tuple[Review, ...]:
        """The ballots that count, in the order of the members."""
        return tuple(sorted((review for review in self.all if review.ballot.valid), key=lambda each: each.reviewer))

    @property
    def spoiled(self) -> tuple[int, ...]:
        """The reviewers that replied, but with nothing that could be read."""
        counted = {review.reviewer for review in self.counted}
        return tuple(sorted({review.reviewer for review in self.all} - counted))

    @property
    def flags(self) -> tuple[str, ...]:
        """What went otherwise than planned."""
        said = {
            "no_ballots": not self.counted,
            "ballots_repaired": any(review.round == 2 for review in self.counted),
            "ballots_spoiled": bool(self.spoiled),
        }
        return tuple(flag for flag, true in said.items() if true)


async def review(panel: Panel, calls: Calls, share: float) -> Reviews:
    """Asks every member for its ballot within a share of the time left; one that cannot be read once more."""
    began_s = calls.remaining_s()
    time_s = began_s * share
    requests = {member: review_request(panel, member) for member in range(len(panel.drafts))}
    reviews = await _ask(panel, calls, requests, time_s, round=1)
    spoiled = [made for made in reviews if not made.ballot.valid]
    left_s = time_s - (began_s - calls.remaining_s())
    if panel.style.repairs and spoiled and left_s > 0:
        calls.tell("repairs", calls=len(spoiled))
        again = {made.reviewer: repair_request(panel, made) for made in spoiled}
        reviews += await _ask(panel, calls, again, left_s, round=2)
    votes = [vote for vote in calls.votes if vote.role == "ballot"]
    made = Reviews(tuple(reviews), Stage.of("ballots", votes, began_s - calls.remaining_s()))
    for counted in made.counted:
        reviewer = panel.named(panel.design.labels[counted.reviewer])
        calls.tell("ballot", reviewer=reviewer, ranking=[panel.named(label) for label in counted.ballot.ranking])
    calls.tell("ballots", counted=len(made.counted), spoiled=len(made.spoiled))
    return made


def review_request(panel: Panel, reviewer: int) -> ChatRequest:
    """What a reviewer is asked: the caller's conversation and the drafts as quoted material, and no tools.

    Nothing of the caller's parameters holds here: its `stop` or `max_tokens` would cut ballots.
    """
    material = (
        conversation(panel.request, panel.nonce),
        *(panel.quoted(member) for member in panel.design.orders[reviewer]),
        _form(panel, reviewer),
    )
    told = filled(panel.wordings["review"], nonce=panel.nonce)
    return ChatRequest((Message("system", (Text(told),)), Message("user", (Text("\n\n".join(material)),))))


def repair_request(panel: Panel, review: Review) -> ChatRequest:
    """The same question with the reply that could not be read, and what is wrong with it."""
    asked = review_request(panel, review.reviewer)
    said = _text(review.vote)[-_REPEATED_CHARS:] or "(nothing)"
    problem = filled(panel.wordings["repair"], problem=review.ballot.problem or "")
    told = f"{problem}\n{_form(panel, review.reviewer)}"
    return ChatRequest((*asked.messages, Message("assistant", (Text(said),)), Message("user", (Text(told),))))


def ranking_of(panel: Panel, reviews: Reviews) -> Ranking:
    """The drafts in the order that the counted ballots give them."""
    ballots = {panel.design.labels[made.reviewer]: made.ballot.ranking for made in reviews.counted}
    return AGGREGATES[panel.style.aggregate](panel.candidates, ballots)


def review_marks(panel: Panel, reviews: Reviews, ranking: Ranking) -> dict[str, Mark]:
    """What is noted of each ballot: how it was read, and whether it put first what the ranking did."""
    return {
        made.vote.vote_id: Mark(
            valid=made.ballot.valid,
            counted=made.ballot.valid,
            agreed=made.ballot.ranking[0] == _best_shown(panel, made.reviewer, ranking) if made.ballot.valid else None,
            ballot={
                **_shown(panel, made.reviewer, made.round),
                "ranking": list(made.ballot.ranking),
                "problem": made.ballot.problem,
            },
        )
        for made in reviews.all
    }


async def _ask(
    panel: Panel, calls: Calls, requests: Mapping[int, ChatRequest], time_s: float, round: int
) -> list[Review]:
    members = {panel.drafts[member].seat.id: member for member in requests}
    asks = (
        Ask(panel.drafts[member].seat, role="ballot", request=request, ballot=_shown(panel, member, round))
        for member, request in requests.items()
    )
    votes = await calls.gather(asks, timeout_s=time_s, grace=grace(len(requests)))
    return [
        Review(member, vote, panel.style.read(vote.answer, panel.design.shown_to(member), panel.nonce), round)
        for vote, member in ((vote, members[vote.seat.id]) for vote in votes)
        if vote.answer is not None
    ]


def _shown(panel: Panel, reviewer: int, round: int) -> dict[str, Any]:
    """What is stored with a ballot from the start, so that even one that never came back says what was asked."""
    return {
        "reviewer": panel.design.labels[reviewer],
        "order": list(panel.design.shown_to(reviewer)),
        "seed": panel.seed,
        "round": round,
    }


def _form(panel: Panel, reviewer: int) -> str:
    return filled(panel.style.form, labels=", ".join(sorted(panel.design.shown_to(reviewer))), nonce=panel.nonce)


def _best_shown(panel: Panel, reviewer: int, ranking: Ranking) -> str:
    shown = panel.design.shown_to(reviewer)
    return next(label for label in ranking.labels if label in shown)


def _text(vote: Vote) -> str:
    return readable(vote.answer or Answer())


def _price(vote: Vote) -> float | None:
    price = vote.seat.model.price
    return None if price is None else price.input + price.output
