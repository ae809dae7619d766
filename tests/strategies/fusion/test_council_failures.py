"""A council in which things fail: the answer comes in time, is the best there is, and says what happened."""

from __future__ import annotations

import asyncio
from collections import Counter

from adapters.errors import ErrorKind
from adapters.types import Answer
from router.attempts.attempt import Attempt
from router.strategies.fusion.council import council
from tests.strategies.sitting import CHAIRS, Reply, Sitting, ballot, member, shown

BEST = "draft of m-a/model"


async def test_a_chairman_that_is_down_is_followed_by_the_next() -> None:
    play = Sitting(lambda attempt: ErrorKind.SERVER_ERROR if attempt.seat.id == CHAIRS[0] else None)
    decision = await play.decide(council)
    assert decision.winner is not None
    assert (decision.winner.seat.id, decision.flags) == (CHAIRS[1], ("chair_replaced",))
    assert play.roles == {"draft": 4, "ballot": 4, "chair": 2}


async def test_without_a_chairman_the_best_ranked_draft_is_the_answer() -> None:
    """The reviewers put the second member first, and so it is its draft that goes out."""

    def says(attempt: Attempt) -> Reply | None:
        if attempt.role == "ballot":
            texts = shown(attempt)
            return ballot(sorted(texts, key=lambda label: ("m-b" not in texts[label], texts[label])))
        return ErrorKind.SERVER_ERROR if attempt.role == "chair" else None

    play = Sitting(says, streamed=True)
    decision = await play.decide(council)
    assert (decision.answer, decision.flags) == (Answer("draft of m-b/model"), ("chair_failed",))
    assert "".join(play.streamed) == "draft of m-b/model"
    assert play.roles == {"draft": 4, "ballot": 4, "chair": 2}


async def test_a_chairman_that_wrote_no_draft_is_preferred() -> None:
    play = Sitting(settings={"chair": "members"}, council_size=3)
    decision = await play.decide(council)
    assert decision.winner is not None
    assert (decision.winner.seat.id, decision.winner.role) == ("m-d/model", "chair")


async def test_a_sitting_in_which_nearly_everything_fails_still_answers_and_says_so() -> None:
    """One of five hangs, two say garbage, the judge dies."""

    def says(attempt: Attempt) -> Reply | None:
        broken: dict[str, Reply] = {"b": "hangs", "c": ErrorKind.BAD_RESPONSE, "e": ErrorKind.BAD_RESPONSE}
        return ErrorKind.CONNECTION if attempt.role == "chair" else broken.get(member(attempt))

    play = Sitting(says, council_size=5, deadline_s=2.0, streamed=True)
    async with asyncio.timeout(2.0):
        decision = await play.decide(council)
    assert play.took_s < 2.0
    assert decision.answer == Answer(BEST)
    assert decision.flags == ("too_few_to_rank", "chair_failed")
    assert (decision.quorum_met, decision.low_confidence, decision.votes_counted) == (False, True, 2)
    assert Counter(vote.outcome for vote in play.calls.votes) == {"ok": 2, "failed": 4, "cancelled_early": 1}


async def test_a_silent_reviewer_and_two_that_talk_nonsense_cost_only_their_ballots() -> None:
    def says(attempt: Attempt) -> Reply | None:
        nonsense: dict[str, Reply] = {"b": "hangs", "c": "banana", "e": "banana"}
        if attempt.role == "chair":
            return "hangs" if attempt.seat.id == CHAIRS[0] else None
        return nonsense.get(member(attempt)) if attempt.role == "ballot" else None

    play = Sitting(says, council_size=5, deadline_s=2.0)
    async with asyncio.timeout(2.0):
        decision = await play.decide(council)
    assert decision.answer == Answer("the answer")
    assert decision.flags == ("ballots_spoiled", "chair_replaced")
    assert decision.details["council"]["labels"][decision.details["council"]["ranking"][0]["label"]] == "m-a/model"


async def test_no_readable_ballot_leaves_the_order_of_the_seats() -> None:
    play = Sitting(lambda attempt: {"ballot": "banana", "chair": ErrorKind.AUTH}.get(attempt.role))
    decision = await play.decide(council)
    assert decision.answer == Answer(BEST)
    assert decision.flags == ("no_ballots", "ballots_spoiled", "chair_failed")
    assert (decision.agreement, decision.margin, decision.tie) == (None, None, None)


async def test_one_draft_is_the_answer_as_it_is() -> None:
    play = Sitting(lambda attempt: None if member(attempt) == "c" else ErrorKind.OVERLOADED, streamed=True)
    decision = await play.decide(council)
    assert (decision.answer, decision.flags) == (Answer("draft of m-c/model"), ("one_draft",))
    assert (decision.quorum_met, decision.low_confidence) == (False, True)
    assert "".join(play.streamed) == "draft of m-c/model"
    assert set(play.roles) == {"draft"}


async def test_when_all_refuse_the_refusal_is_the_answer() -> None:
    refusal = Answer(refusal="I will not.", finish_reason="content_filter")
    play = Sitting(lambda attempt: refusal)
    decision = await play.decide(council)
    assert (decision.answer, decision.flags, decision.low_confidence) == (refusal, ("one_draft",), True)
    assert set(play.roles) == {"draft"}


async def test_no_draft_is_an_error() -> None:
    play = Sitting(lambda attempt: ErrorKind.OVERLOADED)
    decision = await play.decide(council)
    assert decision.error is not None
    assert (decision.error.kind, decision.votes_planned, decision.votes_counted) == (ErrorKind.OVERLOADED, 4, 0)


async def test_too_few_drafts_are_refused_when_the_caller_says_so() -> None:
    broken = {"a": ErrorKind.OVERLOADED, "b": ErrorKind.OVERLOADED}
    play = Sitting(lambda attempt: broken.get(member(attempt)), members="abcd", on_no_quorum="fail")
    decision = await play.decide(council)
    assert decision.error is not None
    assert (decision.error.code, decision.quorum_met) == ("no_quorum", False)
    assert play.roles == {"draft": 4}
