"""Cancellation with a reason: the reason reaches the cancelled task whatever raises on the way."""

from __future__ import annotations

import asyncio

import pytest

from router.core.tasks import CancelReason, cancel, cancel_reason


async def reason_when_cancelled(waiting: asyncio.Future[None]) -> CancelReason | None:
    """The reason that a task sees when it is cancelled while it waits for something that others share."""
    try:
        await waiting
    except asyncio.CancelledError:
        return cancel_reason()
    raise AssertionError


async def shared_work() -> None:
    """Raises an exception of its own when it is cancelled, as libraries do that clean up."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise asyncio.CancelledError from None


@pytest.mark.parametrize("reason", CancelReason)
async def test_a_cancelled_task_knows_why(reason: CancelReason) -> None:
    task = asyncio.create_task(reason_when_cancelled(asyncio.get_running_loop().create_future()))
    await asyncio.sleep(0)
    cancel(task, reason)
    assert await task is reason


async def test_the_reason_survives_a_cancellation_that_is_raised_anew() -> None:
    shared = asyncio.create_task(shared_work())
    task = asyncio.create_task(reason_when_cancelled(shared))
    await asyncio.sleep(0)
    cancel(task, CancelReason.NOT_NEEDED)
    assert await task is CancelReason.NOT_NEEDED


async def test_a_cancellation_that_is_not_ours_has_no_reason() -> None:
    task = asyncio.create_task(reason_when_cancelled(asyncio.get_running_loop().create_future()))
    await asyncio.sleep(0)
    task.cancel()
    assert await task is None


async def test_a_task_that_has_ended_is_left_alone() -> None:
    task = asyncio.create_task(asyncio.sleep(0))
    await task
    cancel(task, CancelReason.SHUTDOWN)
    assert not task.cancelled()
