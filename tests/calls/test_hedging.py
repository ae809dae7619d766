"""Hedging: when a second attempt begins beside a silent one, which one wins, and how often the budget allows it."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from tests.support.daemon import Start, registry_for
from tests.support.rim import Providers
from tests.support.scripted import HANG, Step, error, stream, whole

HEDGED = "{single-query: {hedge: {after: 100ms, budget: 50%}}}"


def quietly(registry: str) -> str:
    return registry.replace("    models:\n", "    retries: 0\n    health: {mode: passive}\n    models:\n")


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_silent_seat_is_overtaken(start_daemon: Start, providers: Providers, streamed: bool) -> None:
    one, two = await providers(2)
    one.then(HANG)
    two.then(stream("quick") if streamed else whole("quick"))
    running = await start_daemon(quietly(registry_for([one, two], strategies=HEDGED)))
    began = asyncio.get_running_loop().time()
    reply = await running.chat(stream=streamed)
    assert asyncio.get_running_loop().time() - began < 1.0
    said = reply.text if streamed else reply.json["choices"][0]["message"]["content"]
    assert (reply.status, said) == (200, "quick")
    await asyncio.wait_for(one.gone.wait(), 1.0)
    rows = (await running.recorded(reply))["votes"]
    assert {(row["provider"], row["role"], row["outcome"], row["winner"]) for row in rows} == {
        ("p1", "answer", "cancelled_early", False),
        ("p2", "hedge", "ok", True),
    }
    weather = (await running.get("/v1/weather")).json["providers"]
    assert [entry["models"][0]["state"] for entry in weather] == ["clear", "clear"]


async def test_the_first_may_still_win_and_is_heard_alone(start_daemon: Start, providers: Providers) -> None:
    one, two = await providers(2)
    hold = asyncio.Event()
    said = stream("I", " was", " first")
    one.then(Step(headers=said.headers, pieces=said.pieces, hold=hold))
    two.then(HANG)
    running = await start_daemon(quietly(registry_for([one, two], strategies=HEDGED)))
    asking = asyncio.create_task(running.chat(stream=True))
    await asyncio.wait_for(two.asked.wait(), 2.0)
    hold.set()
    reply = await asking
    assert (reply.text, reply.done) == ("I was first", True)
    await asyncio.wait_for(two.gone.wait(), 1.0)


async def test_an_error_never_wins(start_daemon: Start, providers: Providers) -> None:
    one, two = await providers(2)
    hold = asyncio.Event()
    one.then(Step(headers=whole("").headers, pieces=whole("late").pieces, hold=hold))
    two.then(error(500))
    running = await start_daemon(quietly(registry_for([one, two], strategies=HEDGED)))
    asking = asyncio.create_task(running.chat())
    await asyncio.wait_for(two.asked.wait(), 2.0)
    hold.set()
    reply = await asking
    assert reply.json["choices"][0]["message"]["content"] == "late"


async def test_there_are_no_more_second_attempts_than_the_budget_has(start_daemon: Start, providers: Providers) -> None:
    one, two = await providers(2)
    hold = asyncio.Event()
    one.then(Step(headers=whole("").headers, pieces=whole("slow").pieces, hold=hold))
    two.then(whole("quick"))
    tight = HEDGED.replace("50%", "10%")
    registry = quietly(registry_for([one, two], strategies=tight))
    running = await start_daemon(registry)
    asking = [asyncio.create_task(running.chat()) for _ in range(40)]
    await asyncio.wait(asking, timeout=1.0)
    assert sum(task.done() for task in asking) == len(two.seen) <= 1 + 0.1 * 40
    hold.set()
    replies = await asyncio.gather(*asking)
    assert Counter(reply.status for reply in replies) == {200: 40}


async def test_without_the_option_nobody_is_asked_twice(start_daemon: Start, providers: Providers) -> None:
    one, two = await providers(2)
    hold = asyncio.Event()
    one.then(Step(headers=whole("").headers, pieces=whole("slow").pieces, hold=hold))
    two.then(whole("never"))
    running = await start_daemon(quietly(registry_for([one, two])))
    asking = asyncio.create_task(running.chat())
    await asyncio.wait_for(one.asked.wait(), 2.0)
    await asyncio.wait([asking], timeout=0.4)
    hold.set()
    assert (await asking).json["quorum"]["provider"] == "p1"
    assert two.seen == []
