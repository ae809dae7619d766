"""synthesize-best: who drafts, who fuses, and what the caller gets when some of them fail."""

from __future__ import annotations

import asyncio

import pytest

from adapters.errors import ErrorKind
from adapters.types import Answer, ChatRequest, Message, ResponseFormat, Text, Tool, ToolCall
from router.attempts.attempt import Attempt
from router.strategies.fusion.synthesize_best import synthesize_best
from tests.strategies.sitting import CHAIRS, NONCE, Reply, Says, Sitting, prompt


def sitting(says: Says = lambda attempt: None, **facts: object) -> Sitting:
    return Sitting(says, strategy="synthesize-best", **facts)  # type: ignore[arg-type]


def by(**replies: Reply) -> Says:
    """Replies by the letter of a member (`a`) or the number of a chair (`c1`)."""
    return lambda attempt: replies.get(attempt.seat.provider.id.replace("m-", "").replace("-", ""))


async def test_three_draft_and_one_that_did_not_fuses() -> None:
    play = sitting()
    decision = await play.decide(synthesize_best)
    assert play.roles == {"draft": 3, "chair": 1}
    assert len({attempt.seat.model.family for attempt in play.of("draft")}) == 3
    assert decision.winner is not None
    assert (decision.winner.seat.id, decision.winner.role) == (CHAIRS[0], "chair")
    assert decision.answer == Answer("the answer")
    assert (decision.votes_planned, decision.votes_counted, decision.quorum_met, decision.flags) == (3, 3, True, ())
    assert {id: mark.counted for id, mark in decision.marks.items()} == dict.fromkeys(("v1", "v2", "v3", "v4"), True)
    assert [stage["calls"] for stage in decision.details["synthesis"]["stages"]] == [3, 1]
    assert {"drafts", "chair"} <= set(play.stages)


@pytest.mark.parametrize("size", [2, 5])
async def test_as_many_draft_as_the_caller_asks(size: int) -> None:
    play = sitting(council_size=size)
    await play.decide(synthesize_best)
    assert play.roles == {"draft": size, "chair": 1}


async def test_the_synthesiser_reads_the_drafts_by_label_in_a_drawn_order() -> None:
    orders = set()
    for number in range(12):
        play = sitting(request_id=f"request {number}")
        await play.decide(synthesize_best)
        told = prompt(play.of("chair")[0])
        found = [f"m-{letter}" for letter in "abc" if f"draft of m-{letter}" in told]
        assert found == ["m-a", "m-b", "m-c"]
        assert told.startswith("What is the capital of France?")
        assert told.index(f"[answer A {NONCE}]") < told.index(f"[answer B {NONCE}]") < told.index(f"[answer C {NONCE}]")
        orders.add(tuple(sorted(found, key=lambda name: told.index(f"draft of {name}"))))
    assert len(orders) > 1


async def test_the_next_synthesiser_takes_over() -> None:
    play = sitting(by(c1=ErrorKind.SERVER_ERROR))
    decision = await play.decide(synthesize_best)
    assert decision.winner is not None
    assert (decision.winner.seat.id, decision.flags) == (CHAIRS[1], ("chair_replaced",))


async def test_without_a_synthesiser_the_best_seat_s_draft_is_the_answer() -> None:
    play = sitting(by(c1=ErrorKind.SERVER_ERROR, c2=ErrorKind.OVERLOADED), streamed=True)
    decision = await play.decide(synthesize_best)
    assert decision.answer == Answer("draft of m-a/model")
    assert decision.flags == ("chair_failed",)
    assert "".join(play.streamed) == "draft of m-a/model"


async def test_a_failed_draft_is_replaced_and_the_failed_seat_does_not_fuse() -> None:
    play = sitting(by(b=ErrorKind.SERVER_ERROR))
    decision = await play.decide(synthesize_best)
    assert [attempt.seat.id for attempt in play.of("draft")] == [f"m-{letter}/model" for letter in "abcd"]
    assert (decision.votes_counted, decision.quorum_met) == (3, True)


async def test_one_survivor_is_the_answer_as_it_is() -> None:
    play = sitting(by(a=ErrorKind.CONNECTION, c=ErrorKind.BAD_RESPONSE), members="abc", streamed=True)
    decision = await play.decide(synthesize_best)
    assert decision.answer == Answer("draft of m-b/model")
    assert (decision.flags, decision.quorum_met, decision.low_confidence) == (("one_draft",), False, True)
    assert play.roles == {"draft": 3}
    assert play.streamed == ["", "draft of m-b/model", *play.streamed[2:]]


async def test_no_draft_is_an_error_of_the_caller_s() -> None:
    play = sitting(lambda attempt: ErrorKind.RATE_LIMITED)
    decision = await play.decide(synthesize_best)
    assert decision.error is not None
    assert (decision.error.kind, decision.winner, decision.votes_counted) == (ErrorKind.RATE_LIMITED, None, 0)


async def test_a_straggler_is_waited_for_half_as_long_again() -> None:
    async with asyncio.timeout(5):
        play = sitting(by(c="hangs"), members="abc")
        decision = await play.decide(synthesize_best)
    assert decision.answer == Answer("the answer")
    assert [vote.outcome for vote in play.calls.votes] == ["ok", "ok", "cancelled_early", "ok"]
    assert play.took_s < 1


async def test_tool_calls_are_chosen_not_fused() -> None:
    call = Answer(tool_calls=(ToolCall("1", "look", "{}"),), finish_reason="tool_calls")
    request = ChatRequest((Message("user", (Text("Look!"),)),), tools=(Tool("look"),))
    play = sitting(by(b=call, c=call), request=request)
    decision = await play.decide(synthesize_best)
    assert (decision.answer, decision.flags) == (call, ("tool_calls",))
    assert decision.winner is not None
    assert decision.winner.seat.id == "m-b/model"
    assert play.roles == {"draft": 3}


async def test_the_synthesiser_keeps_the_caller_s_form_and_gets_no_tools() -> None:
    form = ResponseFormat("json_schema", schema={"type": "object"})
    request = ChatRequest(
        (Message("system", (Text("Be brief."),)), Message("user", (Text("Look!"),))),
        tools=(Tool("look"),),
        response_format=form,
        params={"temperature": 0.5, "parallel_tool_calls": False},
    )
    play = sitting(request=request)
    await play.decide(synthesize_best)
    assert all(attempt.request == request for attempt in play.of("draft"))
    chair = play.of("chair")[0].request
    assert (chair.response_format, chair.tools, dict(chair.params)) == (form, (), {"temperature": 0.5})
    assert chair.messages[0] == request.messages[0]


async def test_a_conversation_with_tool_calls_in_it_still_names_its_tools() -> None:
    request = ChatRequest(
        (
            Message("user", (Text("Look!"),)),
            Message("assistant", tool_calls=(ToolCall("1", "look", "{}"),)),
            Message("tool", (Text("a cat"),), tool_call_id="1"),
        ),
        tools=(Tool("look"),),
    )
    play = sitting(request=request)
    await play.decide(synthesize_best)
    chair = play.of("chair")[0].request
    assert chair.tools == request.tools
    assert chair.tool_choice is not None
    assert (chair.tool_choice.mode, [message.role for message in chair.messages][-1]) == ("none", "user")


async def test_a_fused_answer_that_breaks_off_in_the_stream_is_not_replaced() -> None:
    def says(attempt: Attempt) -> Reply | None:
        return "breaks" if attempt.role == "chair" else None

    play = sitting(says, streamed=True)
    decision = await play.decide(synthesize_best)
    assert decision.error is not None
    assert decision.error.kind is ErrorKind.STALLED
    assert "".join(play.streamed) == "the ans"
    assert play.roles == {"draft": 3, "chair": 1}
