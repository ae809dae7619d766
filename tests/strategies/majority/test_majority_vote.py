"""majority-vote as its caller and the log see it: who is asked, when it stops, what wins, and what it refuses."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from adapters.errors import ErrorKind
from adapters.types import Answer, ResponseFormat, ToolCall
from router.core.clock import Clock
from router.core.decision import Refusal
from router.core.strategy_options import VoteOptions
from tests.strategies.majority.voters import HANGS, Says, Voters, again, decided, panel_of, refusal_code
from tests.support.small_registry import asking
from tests.support.steady import SteadyLoop

MAIL = ("spam", "ham")
SPAM_FIVE = ("ham", "Spam.", '{"label":"ham"}', " **spam**", "<think>ham?</think>spam")


async def test_five_voters_on_spam() -> None:
    voters = Voters(*SPAM_FIVE, labels=MAIL)
    decision = await voters.decide()
    assert (decision.answer_key, decision.agreement, decision.votes_counted) == ("spam", 0.6, 5)
    assert decision.margin == pytest.approx(0.2)
    assert (decision.quorum_met, decision.low_confidence, decision.tie, decision.flags) == (True, False, False, ())
    agreed = {vote.seat.id: decision.marks[vote.vote_id].agreed for vote in voters.calls.votes}
    assert agreed == {"p0/m0": False, "p1/m1": True, "p2/m2": False, "p3/m3": True, "p4/m4": True}


async def test_of_equal_answers_the_plainest_is_given() -> None:
    decision = await Voters("Spam.", '{"label": "spam"}', "ham", "spam", labels=MAIL, council_size=4).decide()
    assert decision.answer is not None
    assert decision.answer.text == "spam"


async def test_the_answer_leaves_when_three_of_five_agree() -> None:
    voters = Voters("42", "42.0", "**42**", HANGS, HANGS, streamed=True)
    async with asyncio.timeout(30):  # for ever, if it waited for those who hang
        decision = await voters.decide()
    assert (decision.answer_key, voters.heard, decision.votes_counted, decision.votes_planned) == ("42", "42", 3, 5)
    assert [voters.outcomes[f"p{at}/m{at}"] for at in (3, 4)] == ["cancelled_early"] * 2
    assert (decision.quorum_met, decision.low_confidence, decision.agreement) == (True, False, 1.0)


async def test_it_waits_while_a_vote_could_still_change_it() -> None:
    voters = Voters("a", "a", "b", "b", "a", arrive=(0, 1, 2, 3, 4))
    decision = await voters.decide()
    assert (decision.answer_key, decision.votes_counted, decision.agreement) == ("a", 5, 0.6)


SAID = some.one_of(
    some.sampled_from(["spam", "ham", "Spam.", "eggs", "not spam", ""]),
    some.sampled_from([ErrorKind.SERVER_ERROR, ErrorKind.RATE_LIMITED, ErrorKind.INVALID_REQUEST]),
)


@settings(max_examples=150, deadline=None)
@given(
    data=some.data(),
    says=some.lists(SAID, min_size=1, max_size=7),
    size=some.integers(1, 6),
    on_no_quorum=some.sampled_from(["degrade", "fail"]),
)
def test_stopping_early_decides_as_waiting_for_all_would(
    data: some.DataObject, says: list[Says], size: int, on_no_quorum: str
) -> None:
    """Over votes, weights, spoiled and failed ones, substitutes, and orders of arrival; and the log tells the same."""
    weights = data.draw(some.lists(some.sampled_from([1.0, 2.0, 0.5]), min_size=len(says), max_size=len(says)))
    size = min(size, len(says))
    order = data.draw(some.permutations(range(size)))
    home = panel_of(len(says), council_size=3, weights=weights)
    facts: dict[str, Any] = {"home": home, "labels": MAIL, "council_size": size, "on_no_quorum": on_no_quorum}
    voters, other = Voters(*says, **facts, arrive=order), Voters(*says, **facts, arrive=(*order[1:], order[0]))
    with asyncio.Runner(loop_factory=SteadyLoop) as runner:
        one, two = runner.run(voters.decide()), runner.run(other.decide())
    if one.flags == two.flags == ():
        told = [(d.answer_key, d.quorum_met, refusal_code(d)) for d in (one, two)]
        assert told[0] == told[1]
    for play, decision in ((voters, one), (other, two)):
        if decision.error is None or refusal_code(decision):
            assert again(play, decision) == decided(decision)
        assert (decision.winner is None) != (decision.error is None)


# --- who is asked -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tier_size", "wanted", "asked"),
    [(3, None, 3), (4, None, 3), (2, None, 2), (1, None, 1), (5, None, 5), (3, 4, 4), (3, 2, 2), (4, 1, 1)],
)
async def test_how_many_vote(tier_size: int, wanted: int | None, asked: int) -> None:
    voters = Voters(*["yes"] * 6, home=panel_of(6, council_size=tier_size), council_size=wanted)
    decision = await voters.decide()
    assert decision.votes_planned == len(voters.asked) == asked
    assert voters.seats == [f"p{at}/m{at}" for at in range(asked)]


async def test_a_failed_voter_is_replaced() -> None:
    voters = Voters(ErrorKind.SERVER_ERROR, "yes", "no", "yes", "no", home=panel_of(5), council_size=3)
    decision = await voters.decide()
    assert voters.seats == ["p0/m0", "p1/m1", "p2/m2", "p3/m3"]
    assert (decision.answer_key, decision.votes_counted, decision.votes_planned) == ("yes", 3, 3)


async def test_too_few_seats_are_sampled() -> None:
    home = panel_of(2, supports="[seed, temperature]")
    voters = Voters(["7", "8"], "7", home=home, council_size=3, request=asking(params={"temperature": 0.0}))
    decision = await voters.decide()
    assert (voters.seats, decision.flags) == (["p0/m0", "p1/m1", "p0/m0"], ("self_consistency",))
    first, _, second = (attempt.request.params for attempt in voters.asked)
    assert first == {"temperature": 0.0}
    assert second == {"temperature": 0.7, "seed": (voters.calls.seed + 1) % 2**31}
    assert decision.answer_key == "7"


async def test_a_seat_is_not_sent_what_it_does_not_support() -> None:
    voters = Voters(["7", "7", "8"], home=panel_of(1, supports="[tools]"), council_size=3)
    decision = await voters.decide()
    assert [attempt.request.params for attempt in voters.asked] == [{}, {}, {}]
    assert (decision.answer_key, decision.flags) == ("7", ("self_consistency",))


async def test_voters_that_hang_do_not_take_the_answer_along() -> None:
    clock = Clock(asyncio.get_running_loop().time)
    voters = Voters("a", "a", HANGS, HANGS, HANGS, clock=clock, deadline_s=0.3)
    decision = await voters.decide()
    assert (decision.answer_key, decision.quorum_met, decision.low_confidence) == ("a", False, True)
    assert voters.calls.remaining_s() > 0


async def test_when_a_quorum_has_spoken_and_one_answer_leads_the_slow_are_not_waited_for_long() -> None:
    clock = Clock(asyncio.get_running_loop().time)
    voters = Voters("a", "b", "a", HANGS, HANGS, clock=clock, deadline_s=600)
    async with asyncio.timeout(60):
        decision = await voters.decide()
    assert (decision.answer_key, decision.votes_counted, decision.quorum_met) == ("a", 3, True)
    assert [voters.outcomes[f"p{at}/m{at}"] for at in (3, 4)] == ["cancelled_early"] * 2


async def test_whoever_can_break_a_tie_is_waited_for() -> None:
    clock = Clock(asyncio.get_running_loop().time)
    voters = Voters("a", "b", HANGS, clock=clock, deadline_s=1.0)
    began = clock.monotonic()
    decision = await voters.decide()
    assert clock.monotonic() - began >= 0.8
    assert decision.tie


# --- ties -------------------------------------------------------------------------------------------------------------


async def test_a_tie_is_broken_by_one_more_vote() -> None:
    voters = Voters("a", "b", "b", "a", home=panel_of(4), council_size=2)
    decision = await voters.decide()
    assert (voters.seats, decision.answer_key) == (["p0/m0", "p1/m1", "p2/m2"], "b")
    assert (decision.tie, decision.flags, decision.low_confidence) == (True, ("tie_broken_by_vote",), False)
    assert again(voters, decision) == decided(decision)


async def test_a_tie_that_stays_goes_to_the_best_seat() -> None:
    voters = Voters("1", "2", "3", home=panel_of(3), council_size=2, arrive=(1, 0))
    decision = await voters.decide()
    assert (decision.answer_key, decision.flags) == ("1", ("tie_broken_by_rank",))
    assert (decision.low_confidence, decision.agreement) == (True, 1 / 3)
    assert again(voters, decision) == decided(decision)


async def test_weight_settles_what_heads_do_not() -> None:
    voters = Voters("1", "2", "3", home=panel_of(3, weights=[1, 1.5, 1]), council_size=2)
    decision = await voters.decide()
    assert (decision.answer_key, decision.tie, len(voters.asked)) == ("2", False, 2)


# --- quorum -----------------------------------------------------------------------------------------------------------


async def test_without_a_quorum_it_degrades_or_fails_as_asked() -> None:
    says = ("spam", "eggs", "eggs")
    soft = await Voters(*says, labels=MAIL).decide()
    assert (soft.answer_key, soft.quorum_met, soft.low_confidence, soft.error) == ("spam", False, True, None)
    voters = Voters(*says, labels=MAIL, on_no_quorum="fail")
    hard = await voters.decide()
    assert hard.winner is None
    assert isinstance(hard.error, Refusal)
    assert (hard.error.code, hard.error.kind, hard.quorum_met) == ("no_quorum", ErrorKind.OVERLOADED, False)
    assert "1 of 3 votes could be counted, 2 are needed" in hard.error.message
    assert again(voters, hard) == decided(hard)


async def test_a_vote_of_spoiled_ballots_has_no_answer() -> None:
    voters = Voters("eggs", "", "not spam", labels=MAIL)
    decision = await voters.decide()
    assert (refusal_code(decision), decision.details["spoiled"]) == ("no_quorum", 3)
    assert {mark.valid for mark in decision.marks.values()} == {False}


async def test_what_all_voters_failed_of_is_the_caller_s_error() -> None:
    decision = await Voters(ErrorKind.AUTH, ErrorKind.BILLING, ErrorKind.QUOTA_EXHAUSTED).decide()
    assert decision.error is not None
    assert decision.error.kind is ErrorKind.QUOTA_EXHAUSTED


# --- forms of answers -------------------------------------------------------------------------------------------------


async def test_json_votes_by_meaning() -> None:
    home = panel_of(3)
    home = replace(home, strategies={**home.strategies, "majority-vote": VoteOptions(ignore=("/why",))})
    says = ('{"b": 1.0, "a": "x"}', '```json\n{"a":"x","b":1,"why":"so"}\n```', '{"a":"y","b":1}')
    voters = Voters(*says, home=home, request=asking(response_format=ResponseFormat("json_object")))
    decision = await voters.decide()
    assert decision.answer_key == '{"a":"x","b":1}'


async def test_tool_calls_vote_by_meaning() -> None:
    def calling(arguments: str) -> Answer:
        return Answer(tool_calls=(ToolCall("x", "weather", arguments),), finish_reason="tool_calls")

    voters = Voters(calling('{"city": "Rome"}'), calling('{"d":1,"city":"Oslo"}'), calling('{"city":"Oslo","d":1.0}'))
    decision = await voters.decide()
    assert decision.answer_key == 'weather({"city":"Oslo","d":1})'


# --- what is told ---------------------------------------------------------------------------------------------------


async def test_it_tells_how_the_count_goes() -> None:
    voters = Voters("yes", "no", "yes")
    await voters.decide()
    tallies = [(event["counts"], event["out"]) for event in voters.told if event["stage"] == "tally"]
    assert tallies[:3] == [({}, 3), ({"yes": 1.0}, 2), ({"yes": 1.0, "no": 1.0}, 1)]
    assert tallies[-1] == ({"yes": 2.0, "no": 1.0}, 0)
