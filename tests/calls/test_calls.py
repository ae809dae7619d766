"""Failover: which seat is asked after which failure, for how long, and when the request ends."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.errors import POLICY, ErrorKind, ProviderError
from adapters.types import Answer
from router.attempts.attempt import Attempt
from router.calls.calls import Ask, CallParts, Calls
from router.calls.hedging import Hedges
from router.core.decision import Choice
from router.core.vote import Vote
from router.guards.latency import LatencyTracker
from router.guards.retry_budget import RetryBudget
from router.observe.events import Hub
from tests.core.test_vote import vote
from tests.support.small_registry import FakeTime, asking, context, registry

SEATS = registry().seats
SMALL, WIDE, UNSAID = "alpha/small", "beta/small", "delta/unsaid"  # with windows of 8k, 128k, and nobody knows
Step = ErrorKind | str | dict[str, Any]


class Play:
    """Calls whose attempts do what `steps` say by seat: fail with a kind, answer with a text, or both as `facts`."""

    def __init__(self, steps: dict[str, Step], *, takes_s: float = 1.0, deadline_s: float = 60.0) -> None:
        self.time = FakeTime()
        self.asked: list[Attempt] = []
        self._steps = steps
        self._takes_s = takes_s
        clock = self.time.clock
        self.retries = RetryBudget(clock)
        self.calls = Calls(
            context(clock, registry(), deadline_s=deadline_s),
            asking(),
            CallParts(self, Hub(), clock, self.retries, Hedges(LatencyTracker(clock), clock)),
        )

    async def run(self, asked: Attempt) -> Vote:
        self.asked.append(asked)
        self.time.pass_(self._takes_s)
        step = self._steps[asked.seat.id]
        match step:
            case "leaves":
                error = ProviderError(ErrorKind.FIRST_TOKEN_TIMEOUT, "silent")
                may_leave = asked.may_leave is not None and asked.may_leave()
                late = {"answer": Answer("late")}
                facts = {"outcome": "failed", "error": error, "sent": True} if may_leave else late
                return vote(seat=asked.seat, seq=asked.seq, **facts)
            case ErrorKind():
                return vote(seat=asked.seat, seq=asked.seq, outcome="failed", error=ProviderError(step, "no"))
            case str():
                return vote(seat=asked.seat, seq=asked.seq, answer=Answer(step))
            case _:
                return vote(seat=asked.seat, seq=asked.seq, **step)

    async def answer(self) -> Choice:
        return await self.calls.answer(SEATS[id] for id in self._steps)

    @property
    def order(self) -> list[str]:
        return [attempt.seat.id for attempt in self.asked]


async def test_the_first_answer_ends_the_walk() -> None:
    play = Play({SMALL: "one", WIDE: "two"})
    decision = await play.answer()
    assert (decision.answer, decision.error, decision.votes_counted) == (Answer("one"), None, 1)
    assert play.order == [SMALL]
    assert play.calls.votes == [decision.winner]


@pytest.mark.parametrize("kind", ErrorKind)
async def test_who_is_asked_after_each_kind_of_failure(kind: ErrorKind) -> None:
    play = Play({WIDE: kind, SMALL: kind, UNSAID: "three"})
    decision = await play.answer()
    nexts = {
        "yes": [WIDE, SMALL, UNSAID],
        "no": [WIDE],
        "larger": [WIDE, UNSAID],  # a window of unknown size may be the larger one
    }
    assert play.order == nexts[POLICY[kind].next_target]
    assert (decision.answer is not None) == (POLICY[kind].next_target != "no")
    assert decision.error is None or decision.error.kind is kind
    assert [made.seq for made in play.calls.votes] == list(range(1, len(play.order) + 1))


async def test_the_last_failure_is_the_caller_s() -> None:
    play = Play({SMALL: ErrorKind.CONNECTION, WIDE: ErrorKind.RATE_LIMITED})
    decision = await play.answer()
    assert decision.error is not None
    assert (decision.error.kind, decision.winner) == (ErrorKind.RATE_LIMITED, None)


async def test_nobody_takes_over_what_the_caller_has_begun_to_read() -> None:
    broken = {"outcome": "failed", "error": ProviderError(ErrorKind.STALLED, "silent"), "committed": True}
    play = Play({SMALL: broken, WIDE: "two"})
    decision = await play.answer()
    assert decision.error is broken["error"]
    assert play.order == [SMALL]


async def test_too_long_for_all_is_too_long() -> None:
    play = Play({WIDE: ErrorKind.CONTEXT_LENGTH, SMALL: "two"})
    decision = await play.answer()
    assert decision.error is not None
    assert decision.error.kind is ErrorKind.CONTEXT_LENGTH
    assert play.order == [WIDE]


async def test_a_deadline_that_leaves_no_time_leaves_no_attempt() -> None:
    play = Play({SMALL: "one"}, deadline_s=0.1)
    decision = await play.answer()
    assert decision.error is not None
    assert decision.error.kind is ErrorKind.TIMEOUT
    assert play.calls.votes == []


async def test_the_deadline_ends_the_walk_with_what_was_said_last() -> None:
    play = Play(
        {SMALL: ErrorKind.SERVER_ERROR, WIDE: ErrorKind.OVERLOADED, UNSAID: "three"}, takes_s=5, deadline_s=10.1
    )
    decision = await play.answer()
    assert decision.error is not None
    assert decision.error.kind is ErrorKind.OVERLOADED
    assert play.order == [SMALL, WIDE]


async def test_silence_is_bounded_only_while_others_wait() -> None:
    play = Play({SMALL: ErrorKind.CONNECTION, WIDE: ErrorKind.CONNECTION, UNSAID: "three"}, takes_s=10, deadline_s=60)
    await play.answer()
    assert [attempt.silence_s for attempt in play.asked] == [30.0, 25.0, None]
    assert {attempt.deadline for attempt in play.asked} == {1_060.0}


def left_of(retries: RetryBudget) -> int:
    """How many second calls a budget still has; none afterwards."""
    return sum(iter(retries.try_again, False))


async def test_leaving_a_silent_seat_is_one_second_call() -> None:
    play = Play({SMALL: "leaves", WIDE: "leaves", UNSAID: "three"})
    before = left_of(RetryBudget(play.time.clock))
    decision = await play.answer()
    assert (decision.answer, play.order) == (Answer("three"), [SMALL, WIDE, UNSAID])
    assert left_of(play.retries) == before - 2


async def test_where_the_budget_has_ended_a_silent_seat_is_waited_for() -> None:
    play = Play({SMALL: "leaves", WIDE: "two"})
    left_of(play.retries)
    decision = await play.answer()
    assert (decision.answer, play.order) == (Answer("late"), [SMALL])


async def test_nobody_leaves_the_last_seat_or_a_vote() -> None:
    play = Play({SMALL: ErrorKind.CONNECTION, WIDE: "two"})
    await play.answer()
    assert [attempt.may_leave is not None for attempt in play.asked] == [True, False]
    await play.calls.gather([Ask(SEATS[WIDE]), Ask(SEATS[WIDE])], spares=[SEATS[SMALL]])
    assert [attempt.may_leave for attempt in play.asked[2:]] == [None, None]


async def test_no_seat_is_no_attempt() -> None:
    decision = await Play({}).answer()
    assert (decision.winner, decision.error is not None) == (None, True)
