"""One attempt: it ends with a vote for whatever reason it is cancelled, and at whatever point."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from adapters import ADAPTERS
from router.attempts.attempt import Attempt, Attempts
from router.core.clock import Clock
from router.core.tasks import CancelReason, cancel
from router.core.vote import Vote
from router.guards.guards import Guards
from router.upstream.transport import Transport
from tests.support.small_registry import asking, context, registry

REGISTRY = registry()


class SlowGuards:
    """Guards that wait for a store, and whose clean-up raises a cancellation of its own."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    def leaks(self, seat: object) -> bool:
        return False

    async def admit(self, *_: object, **__: object) -> Any:
        self.asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise asyncio.CancelledError from None


async def called_off(reason: CancelReason | None) -> tuple[list[Vote], asyncio.Task[Vote]]:
    """The votes of an attempt that is cancelled while its guards wait, and its task."""
    votes: list[Vote] = []
    guards = SlowGuards()
    clock = Clock(asyncio.get_running_loop().time)
    attempts = Attempts(
        guards=cast("Guards", guards),
        adapters=ADAPTERS,
        transport=cast("Transport", None),  # nothing is sent
        publish=votes.append,
        mask=str,
        clock=clock,
    )
    asked = context(clock, REGISTRY)
    attempt = Attempt(asked, 1, "answer", REGISTRY.seats["alpha/small"], asking(), asked.deadline)
    task = asyncio.create_task(attempts.run(attempt))
    await guards.asked.wait()
    if reason is None:
        task.cancel()
    else:
        cancel(task, reason)
    await asyncio.wait([task])
    return votes, task


async def test_a_straggler_that_is_called_off_while_a_store_is_asked_leaves_its_vote() -> None:
    votes, task = await called_off(CancelReason.NOT_NEEDED)
    [vote] = votes
    assert task.result() is vote
    assert (vote.outcome, vote.sent, vote.seq, vote.seat.id) == ("cancelled_early", False, 1, "alpha/small")
    assert vote.error is not None
    assert vote.error.message == "no longer needed"


@pytest.mark.parametrize("reason", [None, CancelReason.SHUTDOWN])
async def test_who_leaves_before_anything_was_sent_leaves_no_vote(reason: CancelReason | None) -> None:
    votes, task = await called_off(reason)
    assert votes == []
    assert task.cancelled()
