"""When an attempt stops waiting for its first token before the time-out, and what takes that back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from adapters.errors import ErrorKind
from router.attempts.deadline import Deadline, Patience
from router.core.registry import Timeouts

LIMIT_S = 0.6
LATE_S = 0.05


def timer(in_vain: Callable[[], bool], may_leave: Callable[[], bool] = lambda: True) -> Deadline:
    now = asyncio.get_running_loop().time()
    return Deadline(
        Timeouts(connect_s=1, first_token_s=LIMIT_S, idle_s=5, total_s=10),
        began=now,
        deadline=now + 10,
        silence_s=None,
        stream=True,
        patience=Patience(LATE_S, in_vain, may_leave),
    )


async def waited_s(timer: Deadline, wait: Callable[[], None] = lambda: None) -> float:
    """How long it lets somebody wait who hears nothing."""
    began = asyncio.get_running_loop().time()

    async def hear_nothing() -> None:
        async with timer:
            wait()
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await hear_nothing()
    return asyncio.get_running_loop().time() - began


async def test_waiting_in_vain_ends_early_and_says_so() -> None:
    patient = timer(lambda: True)
    assert LATE_S < await waited_s(patient) < LIMIT_S
    error = patient.error(None)
    assert patient.gave_up
    assert error is not None
    assert (error.kind, error.message) == (
        ErrorKind.FIRST_TOKEN_TIMEOUT,
        "no first token, and requests that have waited longer at this seat got none either",
    )


@pytest.mark.parametrize(("in_vain", "may_leave"), [(False, True), (True, False)])
async def test_who_has_hope_or_may_not_leave_waits_to_the_limit(in_vain: bool, may_leave: bool) -> None:
    patient = timer(lambda: in_vain, lambda: may_leave)
    assert await waited_s(patient) >= LIMIT_S
    error = patient.error(None)
    assert not patient.gave_up
    assert error is not None
    assert (error.kind, error.message) == (ErrorKind.FIRST_TOKEN_TIMEOUT, "no first token within the time limit")


async def test_leave_is_asked_for_only_once_hope_is_gone_and_again_when_it_is_refused() -> None:
    looks, asked = iter([False, True, False, True, True, True]), iter([False, True])
    patient = timer(lambda: next(looks), lambda: next(asked))
    await waited_s(patient)
    assert patient.gave_up
    assert (list(looks), list(asked)) == ([], [])


async def test_a_busy_moment_of_ours_is_nobodys_silence() -> None:
    loop = asyncio.get_running_loop()
    heard_at = loop.time()
    patient = timer(lambda: loop.time() - heard_at >= LATE_S)

    def hear() -> None:
        nonlocal heard_at
        heard_at = loop.time()
        loop.call_later(LATE_S / 5, hear)

    def be_busy() -> None:
        until = time.thread_time() + 4 * LATE_S
        while time.thread_time() < until:
            pass
        loop.call_soon(loop.call_soon, loop.call_soon, hear)  # what has come meanwhile is read some turns later

    assert await waited_s(patient, be_busy) >= LIMIT_S


async def test_an_answer_that_comes_in_the_last_moment_is_heard_to_its_end() -> None:
    came = asyncio.Event()

    def leave() -> bool:
        came.set()
        return True

    patient = timer(lambda: True, leave)
    async with patient:
        await came.wait()
        patient.until_caller_has_read()
        await asyncio.sleep(0.05)
        patient.until_next_piece()
    assert not patient.gave_up


async def test_nobody_leaves_once_the_answer_has_begun() -> None:
    asked: list[bool] = []

    def may_leave() -> bool:
        asked.append(True)
        return True

    patient = timer(lambda: True, may_leave)
    async with patient:
        patient.until_next_piece()
        await asyncio.sleep(LATE_S + 0.25)
        patient.until_caller_has_read()
        await asyncio.sleep(0.15)
    assert asked == []
