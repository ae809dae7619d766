"""The board: what one replica has learned, all know within a second, whatever their clocks and whoever goes away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import orjson
import pytest

from router.guards.gossip import board as module
from tests.guards.gossip.boards import DAY_S, FACTS, SEAT, SOON_S, Join, everywhere, near, replicas
from tests.support.rim import LIMIT_S, log_text, until


@pytest.fixture
async def join(redis_url: str) -> AsyncIterator[Join]:
    async with replicas(redis_url) as join:
        yield join


async def test_what_one_learns_all_know_within_a_second_and_hear_once(join: Join) -> None:
    one, two, three = those = [join(name) for name in ("r1", "r2", "r3")]
    loop = asyncio.get_running_loop()
    began = loop.time()
    told = [one.tell("wait"), two.tell("stop", for_s=None, state="bad-key"), three.tell("leak", state="leaking")]
    await everywhere(those, lambda replica: len(replica.board.facts) == 3)
    assert loop.time() - began < SOON_S
    for replica in those:
        await until(lambda replica=replica: len(replica.heard) == 2)  # type: ignore[misc]
        assert {fact.kind for fact in replica.heard} == {fact.kind for fact in told if fact.by != replica.name}
    stop = three.board.facts["stop", SEAT]
    assert (stop.state, stop.reason, stop.until, stop.by, stop.mark) == ("bad-key", "slow down", None, "r2", "k1")
    assert near(three.ends_in_s(), 60)


async def test_clocks_that_are_a_day_wrong_change_nothing(join: Join) -> None:
    behind, right, ahead = those = [join("r1", skew_s=-DAY_S), join("r2"), join("r3", skew_s=DAY_S)]
    for replica in those:
        replica.tell(subject=f"groq/{replica.name}", for_s=30)
    await everywhere(those, lambda replica: len(replica.board.facts) == 3)
    assert all(near(replica.ends_in_s(subject=f"groq/r{n}"), 30) for replica in those for n in (1, 2, 3))
    assert abs(right.heard[0].at - time.time()) < 60

    ahead.tell("verdict", state="down")
    await everywhere(those, lambda replica: ("verdict", SEAT) in replica.board.facts)
    behind.tell("verdict", state="healthy")  # told later, whatever the clock says
    await everywhere(those, lambda replica: replica.board.facts["verdict", SEAT].state == "healthy")
    ahead.board.withdraw("verdict", SEAT)
    await everywhere(those, lambda replica: ("verdict", SEAT) not in replica.board.facts)


@pytest.mark.parametrize("kind", ["wait", "drain"])
async def test_a_shorter_wait_never_shortens_a_longer_one(join: Join, kind: module.FactKind) -> None:
    one, two = join("r1"), join("r2")
    one.tell(kind, for_s=60)
    two.tell(kind, for_s=5)  # it has not heard of the other yet
    await everywhere([one, two], lambda replica: near(replica.ends_in_s(kind), 60))
    assert near((two.heard[-1].until or 0) - time.time(), 60)  # so it is told that more stands
    two.tell(kind, for_s=10)  # now it has
    assert near(two.ends_in_s(kind), 60)
    two.tell(kind, for_s=120)
    await everywhere([one, two], lambda replica: near(replica.ends_in_s(kind), 120))
    two.tell(kind, for_s=None)
    await everywhere([one, two], lambda replica: (kind, SEAT) in replica.board.facts and not replica.ends_in_s(kind))
    one.tell(kind, for_s=60)
    assert one.ends_in_s(kind) is None


async def test_a_wait_with_another_key_says_nothing_of_this_one(join: Join) -> None:
    one, two = join("r1"), join("r2")
    one.tell(for_s=3600)
    await everywhere([two], lambda replica: near(replica.ends_in_s(), 3600))
    two.tell(for_s=10, mark="k2")
    await everywhere([one, two], lambda replica: near(replica.ends_in_s(), 10))
    assert one.heard[-1].mark == "k2"


async def test_a_withdrawal_reaches_all_once_and_what_is_told_after_it_counts_again(join: Join) -> None:
    one, two, three = those = [join(name) for name in ("r1", "r2", "r3")]
    for _ in range(2):
        one.tell("stop", for_s=None)
        await everywhere(those, lambda replica: ("stop", SEAT) in replica.board.facts)
        two.board.withdraw("stop", SEAT)
        assert two.board.facts == {}
        await everywhere(those, lambda replica: not replica.board.facts)
    assert (one.gone, two.gone, three.gone) == ([("stop", SEAT)] * 2, [], [("stop", SEAT)] * 2)


async def test_who_takes_back_an_old_wait_leaves_a_new_one_alone(join: Join) -> None:
    one, two, three = join("r1"), join("r2"), join("r3")
    one.tell(for_s=20)
    await everywhere([one, two], lambda replica: near(replica.ends_in_s(), 20))
    await two.pause()
    one.tell(for_s=60)
    await everywhere([three], lambda replica: near(replica.ends_in_s(), 60))
    two.board.withdraw("wait", SEAT)  # it has not heard of the longer one
    two.resume()
    await everywhere([two], lambda replica: near(replica.ends_in_s(), 60))
    assert near(one.ends_in_s(), 60)
    assert one.gone == []


async def test_whoever_starts_again_learns_everything_before_its_door_opens(join: Join) -> None:
    one, two = join("r1"), join("r2")
    for number in range(700):
        one.tell(subject=f"groq/{number}")
    one.tell("drain", for_s=None, subject="mistral")
    await everywhere([one, two], lambda replica: len(replica.board.facts) == 701)
    await one.die()
    await two.die()

    again = join("r1", running=False)
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await again.board.learn(LIMIT_S)
    assert loop.time() - began < SOON_S
    assert len(again.heard) == len(again.board.facts) == 701


async def test_what_has_ended_is_left_out_and_swept_by_whoever_reads(join: Join) -> None:
    one, two = join("r1"), join("r2")
    one.tell(for_s=2)
    await everywhere([one, two], lambda replica: ("wait", SEAT) in replica.board.facts)
    await everywhere([one, two], lambda replica: not replica.board.facts)
    assert (one.gone, two.gone) == ([], [])
    one.tell("leak", for_s=None)
    await everywhere([two], lambda replica: ("leak", SEAT) in replica.board.facts)
    assert await two.store.client.hkeys(FACTS) == [f"leak {SEAT}".encode()]


async def test_the_open_breakers_of_two_replicas_are_two_facts(join: Join) -> None:
    one, two, three = those = [join(name) for name in ("r1", "r2", "r3")]
    one.tell("open", state="failing")
    await everywhere(those, lambda replica: ("open", SEAT) in replica.board.facts)
    two.tell("open", state="failing")
    await until(lambda: len(three.heard) == 2 and len(one.heard) == 1)
    one.board.withdraw("open", SEAT)
    one.tell("leak")
    await until(lambda: ("leak", SEAT) in three.board.facts)
    assert three.board.facts["open", SEAT].by == "r2"
    assert three.gone == []
    await two.leave()  # its breaker is nobody's concern any more
    await everywhere([one, three], lambda replica: ("open", SEAT) not in replica.board.facts)
    assert three.gone == [("open", SEAT)]


async def test_while_nothing_changes_nobody_reads_the_facts(join: Join) -> None:
    one, two = join("r1"), join("r2")
    one.tell()
    await everywhere([one, two], lambda replica: ("wait", SEAT) in replica.board.facts)

    async def calls(command: str) -> int:
        stats = await one.store.client.info("commandstats")
        return int(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"])

    async def polls(number: int) -> None:
        wanted = await calls("evalsha") + number
        async with asyncio.timeout(LIMIT_S):
            while await calls("evalsha") < wanted:
                await asyncio.sleep(0.02)

    await polls(2 * 2)  # whoever wrote last looks once more
    before = await calls("hgetall"), await calls("hset")
    await polls(2 * 3)
    assert (await calls("hgetall"), await calls("hset")) == before


async def test_garbage_on_the_board_is_stepped_over_told_once_and_written_over(join: Join) -> None:
    written = log_text()
    one = join("r1")
    await until(lambda: one.store.up)
    good = {"kind": "leak", "subject": SEAT, "state": "leaking", "reason": "", "until": None, "at": 5.0, "by": "r9"}
    garbage: dict[str | bytes, bytes] = {
        f"wait {SEAT}": b"\xff not json {",
        f"stop {SEAT}": b'{"kind": "stop", "at": 1e300}',
        "verdict misplaced": orjson.dumps({**good, "mark": ""}),
        b"\xff\xfe": b"[1]",
        f"leak {SEAT}": orjson.dumps({**good, "mark": "k1"}),
    }
    for field, text in garbage.items():
        await one.store.client.hset(FACTS, field, text)
    for heard in (1, 2):
        await one.store.client.hset(FACTS, f"leak {SEAT}", orjson.dumps({**good, "mark": f"k{heard}"}))
        await one.store.client.incr(FACTS.replace("facts", "version"))
        await until(lambda heard=heard: len(one.heard) == heard)  # type: ignore[misc]
    assert list(one.board.facts) == [("leak", SEAT)]
    notes = [orjson.loads(line)["note"] for line in written.getvalue().splitlines()]
    assert len(notes) == len(set(notes)) == 4
    assert all("does not hold a fact" in note for note in notes)

    one.tell("wait")
    two = join("r2")
    two.tell("stop", for_s=None)
    await everywhere([one, two], lambda replica: len(replica.board.facts) == 3)


async def test_one_cancellation_ends_it_whatever_it_is_doing(join: Join) -> None:
    one = join("r1", running=False)
    assert await one.board.learn()
    for ticks in range(200):
        running = asyncio.create_task(one.board.run())
        for _ in range(ticks % 50):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running], timeout=LIMIT_S)
        assert running.cancelled(), f"{ticks % 50} ticks after its start"


async def test_no_more_facts_than_the_bound_are_kept(join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("router.guards.gossip.known.MAX_FACTS", 50)
    one, two = join("r1"), join("r2")
    for number in range(200):
        one.tell(subject=f"groq/{number}")
    assert len(one.board.facts) == 50
    await everywhere([two], lambda replica: len(replica.board.facts) == 50)
    one.tell(subject="groq/7", for_s=600)  # what is known may still change
    await everywhere([two], lambda replica: near(replica.ends_in_s(subject="groq/7"), 600))
