"""The values of a council's reviews: the style it is held in, the drafts under review, and what reviewers replied."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from adapters.types import Answer, ChatRequest
from router.core.vote import Vote
from router.strategies.fencing import answer_chars, fenced, readable
from router.strategies.fusion.ballots import RankedBallot
from router.strategies.fusion.drafting import StageSummary
from router.strategies.fusion.ranking import Candidate, Ranking
from router.strategies.fusion.review_order import Design
from router.strategies.table import ReviewForm


@dataclass(frozen=True, slots=True)
class Style:
    """How a council is held.

    `design` says who reads what in which order, by the number of drafts and a seed. `form` tells reviewers how to write
    a ballot, and `read` reads it, by the labels shown and the nonce. `aggregate` names how ballots become a ranking. A
    draft is called `noun` and its label. The chair reads each draft under its `chair_title` (by label and seat), then
    `chair_reviews`.
    """

    review: ReviewForm
    design: Callable[[int, int], Design]
    form: str
    read: Callable[[Answer, Collection[str], str], RankedBallot]
    aggregate: str
    noun: str
    chair_title: Callable[[str, str], str]
    chair_reviews: Callable[[ReviewPanel, Reviews, Ranking], Iterator[str]]
    wordings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ReviewPanel:
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
            Candidate(label, len(reply_text(vote)), _price(vote), vote.seat.rank, place)
            for place, (label, vote) in enumerate(zip(self.design.labels, self.drafts, strict=True))
        )

    @property
    def authors(self) -> dict[str, str]:
        """The seat behind each label, in the order of the labels."""
        seats = zip(self.design.labels, (vote.seat.id for vote in self.drafts), strict=True)
        return dict(sorted(seats))

    def author(self, label: str) -> str:
        """The seat whose draft stands under a label; reviewers are not told."""
        return self.drafts[self.design.labels.index(label)].seat.id

    def quoted(self, member: int, title: str = "") -> str:
        """A member's draft between fences, under its label or another title."""
        title = title or f"{self.style.noun} {self.design.labels[member]}"
        return fenced(title, reply_text(self.drafts[member]), self.nonce, answer_chars(len(self.drafts)))


@dataclass(frozen=True, slots=True)
class Review:
    """One reviewer's reply, and how it was read; `round` 2 is a repair."""

    reviewer: int
    vote: Vote
    ballot: RankedBallot
    round: int = 1


@dataclass(frozen=True, slots=True)
class Reviews:
    """All replies of the stage."""

    all: tuple[Review, ...] = ()
    stage: StageSummary | None = None

    @property
    def counted(self) -> tuple[Review, ...]:
        """Each reviewer's ballot, where one could be read in the end, in the order of the members."""
        return tuple(sorted((review for review in self.all if review.ballot.valid), key=lambda each: each.reviewer))

    @property
    def spoiled(self) -> tuple[int, ...]:
        """The reviewers whose replies could not be read."""
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


def reply_text(vote: Vote) -> str:
    """What a vote's answer says, as text."""
    return readable(vote.answer or Answer())


def _price(vote: Vote) -> float | None:
    price = vote.seat.model.price
    return None if price is None else price.input + price.output
