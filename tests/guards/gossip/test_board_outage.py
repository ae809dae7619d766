"""The board while Redis is away, silent, or back without its memory: nobody waits, and nothing that holds is lost."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from router.stores.embedded import servers
from router.stores.embedded.start import Embedded, start_embedded
from tests.guards.gossip.boards import FACTS, SEAT, Join, Replica, everywhere, replicas
from tests.support.rim import LIMIT_S, until


@pytest.fixture
async def own(tmp_path: Path, patience: None) -> AsyncIterator[list[Embedded]]:
    """A Valkey of the test's own, which may be replaced."""
    embedded = [await start_embedded(tmp_path, postgres=False, redis=True)]
    yield embedded
    await embedded[-1].stop()


@pytest.fixture
async def join(own: list[Embedded], tmp_path: Path) -> AsyncIterator[Join]:
    async with replicas(servers.redis_url(tmp_path)) as join:
        yield join


def pid(data_dir: Path) -> int:
    return int(servers.valkey(data_dir).pid_file.read_text())


def kinds(replica: Replica) -> set[str]:
    return {kind for kind, _ in replica.board.facts}


async def test_killed_and_back_empty_it_is_told_everything_again(
    own: list[Embedded], join: Join, tmp_path: Path
) -> None:
    one, two = those = [join("r1"), join("r2")]
    one.tell("stop", for_s=None)
    two.tell("leak", for_s=None)
    one.tell("drain", for_s=600)
    await everywhere(those, lambda replica: kinds(replica) == {"stop", "leak", "drain"})

    os.kill(pid(tmp_path), signal.SIGKILL)
    await until(lambda: not one.store.up and not two.store.up)
    assert not await one.board.learn()
    one.tell("wait")  # while nobody is there to hear it
    two.board.withdraw("drain", SEAT)
    assert await one.board.lease("probe", 30)
    assert await two.board.lease("probe", 30)  # each for itself
    await own[-1].stop()
    shutil.rmtree(servers.valkey(tmp_path).folder)
    own.append(await start_embedded(tmp_path, postgres=False, redis=True))

    await everywhere(those, lambda replica: kinds(replica) == {"stop", "leak", "wait"})
    assert one.gone == [("drain", SEAT)]
    assert two.gone == []
    fresh = join("r3", running=False)
    assert await fresh.board.learn()
    assert kinds(fresh) == {"stop", "leak", "wait"}


async def test_a_flush_loses_nothing_not_even_what_the_dead_have_told(own: list[Embedded], join: Join) -> None:
    one, two = those = [join("r1"), join("r2")]
    one.tell("stop", for_s=None)
    two.tell("leak", for_s=None)
    await everywhere(those, lambda replica: kinds(replica) == {"stop", "leak"})
    await one.die()
    await two.pause()
    await two.store.client.flushall()
    fresh, another = join("r3"), join("r4")
    for kind in ("verdict", "drain"):  # a board that was begun anew before anybody has missed the old one
        fresh.tell(kind)
        await everywhere([another], lambda replica, kind=kind: kind in kinds(replica))  # type: ignore[misc]
    heard = len(two.heard)
    two.resume()
    await everywhere([two, fresh], lambda replica: kinds(replica) == {"stop", "leak", "verdict", "drain"})
    assert {fact.kind for fact in two.heard[heard:]} == {"verdict", "drain"}
    assert two.gone == []


async def test_an_older_copy_of_the_board_does_not_bring_back_what_was_withdrawn(
    own: list[Embedded], join: Join
) -> None:
    one, two = those = [join("r1"), join("r2")]
    one.tell("stop", for_s=None)
    one.tell("wait", for_s=60)
    await everywhere(those, lambda replica: kinds(replica) == {"stop", "wait"})
    client, version = one.store.client, FACTS.replace("facts", "version")
    for key in (FACTS, version):
        await client.copy(key, f"{key} of before")
    two.board.withdraw("stop", SEAT)
    one.tell("wait", for_s=600)
    await everywhere(those, lambda replica: kinds(replica) == {"wait"} and (replica.ends_in_s() or 0) > 500)

    for key in (FACTS, version):
        await client.copy(f"{key} of before", key, replace=True)

    fresh = join("r3")
    await everywhere([*those, fresh], lambda replica: kinds(replica) == {"wait"} and (replica.ends_in_s() or 0) > 500)


@pytest.mark.parametrize("patience_s", [None])
async def test_a_silent_redis_keeps_nobody_waiting(own: list[Embedded], join: Join, tmp_path: Path) -> None:
    one, two, loop = join("r1"), join("r2"), asyncio.get_running_loop()
    await until(lambda: one.store.up and two.store.up)
    one.board.alive(SEAT)
    os.kill(pid(tmp_path), signal.SIGSTOP)
    try:
        began = loop.time()
        for number in range(1000):
            one.tell(subject=f"groq/{number}")
            one.board.alive(f"groq/{number}")
        assert loop.time() - began < 1.0
        assert await two.board.lease("probe", 30)
        assert len(await one.board.alive_at()) == 1001
        assert not await two.board.learn()
        assert loop.time() - began < 3.0
        await until(lambda: not one.store.up)
        began = loop.time()
        assert await one.board.lease("probe", 30)  # once it is known to be away, at no cost
        assert loop.time() - began < 0.2
    finally:
        os.kill(pid(tmp_path), signal.SIGCONT)
    await everywhere([two], lambda replica: len(replica.board.facts) == 1000)
    async with asyncio.timeout(LIMIT_S):
        while len(await two.board.alive_at()) < 1001:
            await asyncio.sleep(0.01)


async def test_what_is_told_before_redis_was_ever_there_is_set_right_when_it_is(
    own: list[Embedded], tmp_path: Path
) -> None:
    await own[-1].stop()
    async with replicas(servers.redis_url(tmp_path)) as join:
        one, two = join("r1", skew_s=-86400.0), join("r2")
        assert not await one.board.learn()
        one.tell("drain", for_s=60)
        assert kinds(one) == {"drain"}
        own.append(await start_embedded(tmp_path, postgres=False, redis=True))
        await everywhere([one, two], lambda replica: kinds(replica) == {"drain"})
        assert all(30 < (replica.ends_in_s("drain") or 0) <= 62 for replica in (one, two))


async def test_a_redis_that_refuses_is_not_taken_for_one_that_is_away(own: list[Embedded], join: Join) -> None:
    one = join("r1")
    await until(lambda: one.store.up)
    await one.store.client.delete(FACTS)
    await one.store.client.set(FACTS, "a text of somebody else's")
    one.tell()
    assert await one.board.lease("probe", 30)
    ups: list[bool] = []
    for _ in range(20):
        ups.append(one.store.up)
        await asyncio.sleep(0.02)
    assert all(ups)
    await one.store.client.delete(FACTS)
    await everywhere([join("r2")], lambda replica: kinds(replica) == {"wait"})
