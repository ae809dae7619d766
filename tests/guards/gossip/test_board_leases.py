"""Beside the facts of the board: who does what only one may, who lives, and which seats answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.guards.gossip.boards import DAY_S, FACTS, SEAT, Join, Replica, everywhere, replicas
from tests.support.rim import LIMIT_S, until


@pytest.fixture
async def join(redis_url: str) -> AsyncIterator[Join]:
    async with replicas(redis_url) as join:
        yield join


async def holders(those: list[Replica], name: str = "probe", ttl_s: float = 30.0) -> list[str]:
    got = await asyncio.gather(*(replica.board.lease(name, ttl_s) for replica in those))
    return [replica.name for replica, has in zip(those, got, strict=True) if has]


async def test_of_ten_replicas_exactly_one_has_the_lease(join: Join) -> None:
    ten = [join(f"r{number}") for number in range(10)]
    await until(lambda: all(replica.store.up for replica in ten))
    first = await holders(ten)
    assert len(first) == 1
    assert all([await holders(ten) == first for _ in range(5)])  # and keeps it by asking again
    assert len(await holders(ten, "another")) == 1

    (leader,) = (replica for replica in ten if replica.name == first[0])
    others = [replica for replica in ten if replica is not leader]
    await leader.leave()
    assert len(await holders(others)) == 1  # given back at once


async def test_the_lease_of_a_dead_one_is_free_when_it_runs_out(join: Join) -> None:
    one, two = join("r1"), join("r2")
    await until(lambda: one.store.up and two.store.up)
    assert await holders([one], ttl_s=60) == ["r1"]
    assert await holders([two]) == []
    assert await holders([one], ttl_s=0.3) == ["r1"]  # what it asked for last counts
    await one.die()
    async with asyncio.timeout(LIMIT_S):
        while not await holders([two]):
            await asyncio.sleep(0.01)


async def test_the_living_are_counted(join: Join) -> None:
    one, two, three = those = [join(name) for name in ("r1", "r2", "same")]
    same = join("same")  # a name is not enough to be one
    await everywhere([*those, same], lambda replica: replica.board.replicas() == 4)
    long_ago = {"r0 of yesterday": time.time() - 11}
    await one.store.client.zadd(FACTS.replace("facts", "replicas"), long_ago)
    await three.leave()
    await everywhere([one, two, same], lambda replica: replica.board.replicas() == 3)
    await one.store.client.flushall()
    await everywhere([join("r4")], lambda replica: replica.board.replicas() == 4)


async def test_a_seat_that_answers_anybody_is_known_to_live(join: Join) -> None:
    one, two = join("r1", skew_s=DAY_S), join("r2")
    await until(lambda: one.store.up and two.store.up)
    one.board.alive(SEAT)
    two.board.alive("xai/grok")
    async with asyncio.timeout(LIMIT_S):
        while len(await two.board.alive_at()) < 2:
            await asyncio.sleep(0.01)
    assert abs((await two.board.alive_at())[SEAT] - time.time()) < 60
    assert abs((await one.board.alive_at())[SEAT] - time.time() - DAY_S) < 60

    before = await one.store.client.zscore(FACTS.replace("facts", "alive"), SEAT)
    for _ in range(100):
        one.board.alive(SEAT)
    one.tell()  # goes out with whatever else is due
    await everywhere([two], lambda replica: ("wait", SEAT) in replica.board.facts)
    assert await one.store.client.zscore(FACTS.replace("facts", "alive"), SEAT) == before
