"""The queue while no seat is free: its length, its longest wait, and the `Retry-After` of rejected callers."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from router.routing.queue import MAX_WAITING
from tests.guards.test_guards import QUEUE_S, guarded, timed
from tests.support.daemon import Start
from tests.support.rim import Providers, until
from tests.support.scripted import Scripted, error, whole


def busy(provider: Scripted) -> asyncio.Event:
    """The provider answers its first request only when the event is set, and all others at once."""
    hold = asyncio.Event()
    provider.then(replace(whole("slow"), hold=hold), whole("quick"))
    return hold


async def test_no_more_than_so_many_wait_and_the_others_are_sent_away_at_once(
    start_daemon: Start, providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.routing.service.QUEUE_S", 60.0)  # nobody's time runs out, however slow the machine is
    [one] = await providers(1)
    hold = busy(one)
    running = await start_daemon(guarded([one], "max_inflight: 1"))
    asking = [asyncio.create_task(running.chat())]
    await until(lambda: len(one.seen) == 1)
    asking += [asyncio.create_task(running.chat(quorum={"timeout_ms": 60_000})) for _ in range(MAX_WAITING + 44)]
    await until(lambda: sum(task.done() for task in asking) >= 44)
    assert len(one.seen) == 1
    hold.set()
    replies = await asyncio.gather(*asking)
    assert Counter(reply.status for reply in replies) == {200: 1 + MAX_WAITING, 429: 44}
    assert {reply.headers["Retry-After"] for reply in replies if reply.status == 429} == {"1"}


async def test_a_wait_that_runs_out_in_line_ends_in_time_and_says_when_to_come_again(
    start_daemon: Start, providers: Providers
) -> None:
    [one] = await providers(1)
    hold = busy(one)
    running = await start_daemon(guarded([one], "max_inflight: 1"))
    first = asyncio.create_task(running.chat())
    await until(lambda: len(one.seen) == 1)
    for took_s, reply in await asyncio.gather(*(timed(running) for _ in range(30))):
        assert (reply.status, reply.headers["Retry-After"]) == (429, "1")
        assert QUEUE_S / 4 < took_s < QUEUE_S + 1
    assert len(one.seen) == 1
    hold.set()
    assert (await first).status == 200
    assert (await running.chat()).status == 200


async def test_a_wait_that_turns_out_too_long_is_told_to_all_in_line(start_daemon: Start, providers: Providers) -> None:
    [one] = await providers(1)
    one.then(error(429, "slow down", Retry_After="1"), error(429, "slow down", Retry_After="90"))
    running = await start_daemon(guarded([one], "retries: 0"))
    assert (await running.chat()).status == 429
    for took_s, reply in await asyncio.gather(*(timed(running) for _ in range(30))):
        assert reply.status == 429
        assert 60 < int(reply.headers["Retry-After"]) <= 90
        assert took_s < QUEUE_S + 1
