"""The second stage of a council: each member that wrote a draft ranks what the others wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.types import ChatRequest, Message, Text
from router.calls.calls import Ask, Calls
from router.core.decision import Mark
from router.core.stages import BallotRead, BallotsCounted, RepairsAsked
from router.strategies.fencing import conversation
from router.strategies.fusion.drafting import StageSummary
from router.strategies.fusion.panel import Review, ReviewPanel, Reviews, reply_text
from router.strategies.fusion.prompts import filled
from router.strategies.fusion.ranking import AGGREGATES, Ranking
from router.strategies.stragglers import grace

_REPEATED_CHARS = 2_000  # of a reply that is to be repaired


async def review(panel: ReviewPanel, calls: Calls, share: float) -> Reviews:
    """Asks every member for its ballot within a share of the time left; one that cannot be read once more."""
    began_s = calls.remaining_s()
    time_s = began_s * share
    requests = {member: review_request(panel, member) for member in range(len(panel.drafts))}
    reviews = await _ask(panel, calls, requests, time_s, round=1)
    for round in range(2, panel.style.review.rounds + 1):
        spoiled = [made for made in reviews if made.round == round - 1 and not made.ballot.valid]
        left_s = time_s - (began_s - calls.remaining_s())
        if not spoiled or left_s <= 0:
            break
        calls.tell(RepairsAsked(len(spoiled)))
        again = {made.reviewer: repair_request(panel, made) for made in spoiled}
        reviews += await _ask(panel, calls, again, left_s, round=round)
    votes = [vote for vote in calls.votes if vote.role == "ballot"]
    made = Reviews(tuple(reviews), StageSummary.of("ballots", votes, began_s - calls.remaining_s()))
    if calls.watched:
        for counted in made.counted:
            reviewer = panel.author(panel.design.labels[counted.reviewer])
            calls.tell(BallotRead(reviewer, tuple(panel.author(label) for label in counted.ballot.ranking)))
    calls.tell(BallotsCounted(len(made.counted), len(made.spoiled)))
    return made


def review_request(panel: ReviewPanel, reviewer: int) -> ChatRequest:
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


def repair_request(panel: ReviewPanel, review: Review) -> ChatRequest:
    """The same question with the reply that could not be read, and what is wrong with it."""
    asked = review_request(panel, review.reviewer)
    said = reply_text(review.vote)[-_REPEATED_CHARS:] or "(nothing)"
    problem = filled(panel.wordings["repair"], problem=review.ballot.problem or "")
    told = f"{problem}\n{_form(panel, review.reviewer)}"
    return ChatRequest((*asked.messages, Message("assistant", (Text(said),)), Message("user", (Text(told),))))


def ranking_of(panel: ReviewPanel, reviews: Reviews) -> Ranking:
    """The drafts in the order that the counted ballots give them."""
    ballots = {panel.design.labels[made.reviewer]: made.ballot.ranking for made in reviews.counted}
    return AGGREGATES[panel.style.aggregate](panel.candidates, ballots)


def review_marks(panel: ReviewPanel, reviews: Reviews, ranking: Ranking) -> dict[str, Mark]:
    """The mark of each ballot: how it was read, and whether it put first what the ranking did."""
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
    panel: ReviewPanel, calls: Calls, requests: Mapping[int, ChatRequest], time_s: float, round: int
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


def _shown(panel: ReviewPanel, reviewer: int, round: int) -> dict[str, Any]:
    """What is stored with a ballot from the start, so that even one that never came back says what was asked."""
    return {
        "reviewer": panel.design.labels[reviewer],
        "order": list(panel.design.shown_to(reviewer)),
        "seed": panel.seed,
        "round": round,
    }


def _form(panel: ReviewPanel, reviewer: int) -> str:
    return filled(panel.style.form, labels=", ".join(sorted(panel.design.shown_to(reviewer))), nonce=panel.nonce)


def _best_shown(panel: ReviewPanel, reviewer: int, ranking: Ranking) -> str:
    shown = panel.design.shown_to(reviewer)
    return next(label for label in ranking.labels if label in shown)
