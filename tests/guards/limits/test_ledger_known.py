"""What a replica knows of limits without asking, and whose clock counts."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest
import redis.asyncio

from router.core.clock import Clock
from tests.guards.limits.ledgers import UTC_DAY, replica, seat

FIFTY = seat(f"requests: 50, per: day, {UTC_DAY}")
MINUTE = seat("requests: 30, per: minute")
DAY_S = 86400.0


# --- what is known without asking ------------------------------------------------------------------------------------


async def test_a_full_limit_is_known_without_asking_and_asked_again_after_a_while(redis_url: str) -> None:
    ahead = Ahead()
    async with replica(redis_url, clock=ahead.clock) as one, replica(redis_url) as other:
        last = [await other.granted(FIFTY) for _ in range(50)][-1]
        await one.refused(FIFTY)
        before = await calls(redis_url)
        for _ in range(100):
            await one.refused(FIFTY)
        assert one.ledger.block(FIFTY) is not None
        assert await calls(redis_url) == before
        other.settle(last, sent=False)
        await other.comes_to(FIFTY, "requests/day", 49)
        ahead.s = 31.0
        assert one.ledger.block(FIFTY) is None
        await one.granted(FIFTY)


async def test_a_fresh_replica_that_looks_knows_what_is_left_and_changes_nothing(redis_url: str) -> None:
    two = seat(f"requests: 40, per: minute; requests: 20, per: day, {UTC_DAY}")
    async with replica(redis_url) as one, replica(redis_url) as fresh:
        await one.admitted(two, 15)
        for _ in range(2):
            await fresh.ledger.look([two, MINUTE, seat("")])
        minute, day = fresh.ledger.left(two)
        assert (minute.name, minute.amount, minute.used, minute.resets_at) == ("requests/minute", 40, 15, None)
        assert (day.name, day.amount, day.used) == ("requests/day", 20, 15)
        assert day.resets_at == (time.time() // DAY_S + 1) * DAY_S
        assert fresh.ledger.block(two) is None
        await one.admitted(two, 15)
        await fresh.ledger.look([two])
        block = fresh.ledger.block(two)
        assert block is not None
        assert block.reason == "20 of 20 requests a day are used"


async def test_headroom_is_that_of_the_tightest_limit(redis_url: str) -> None:
    two = seat("requests: 40, per: minute; requests: 20, per: day")
    async with replica(redis_url) as one:
        assert one.ledger.headroom(two) == 1.0
        await one.admitted(two, 15)
        assert one.ledger.headroom(two) == pytest.approx(0.25)
        await one.admitted(two, 15)
        assert one.ledger.headroom(two) == 0.0


async def test_a_budget_that_starts_anew_soon_counts_as_fuller(redis_url: str) -> None:
    now = time.gmtime(time.time() + 300)
    soon = seat(f'requests: 20, per: day, resets: "{now.tm_hour:02}:{now.tm_min:02} UTC"')
    async with replica(redis_url) as one:
        await one.admitted(soon, 15)
        assert 0.8 < one.ledger.headroom(soon) < 1.0
        await one.admitted(soon, 15)
        assert one.ledger.headroom(soon) == 0.0


# --- clocks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [-1, -1 / 24, 1 / 24, 1])
async def test_a_replica_whose_clock_is_wrong_opens_no_second_day(redis_url: str, days: float) -> None:
    wrong = Clock(wall=lambda: time.time() + days * DAY_S)
    local = time.gmtime(time.time() + 600)  # a reset is near, so that an hour makes another day of it
    near = seat(f'requests: 50, per: day, resets: "{local.tm_hour:02}:{local.tm_min:02} UTC"')
    async with replica(redis_url) as right, replica(redis_url, clock=wrong) as skewed:
        assert await right.admitted(near, 30) == 30
        assert await skewed.admitted(near, 30) == 20
        assert await right.admitted(near, 30) == 0
        assert skewed.ledger.left(near) == right.ledger.left(near)
        assert skewed.faults == []


async def test_a_clock_that_is_set_back_while_running_changes_nothing(redis_url: str) -> None:
    ahead = Ahead()
    clock = Clock(wall=lambda: time.time() + ahead.s)
    async with replica(redis_url, clock=clock) as one:
        assert await one.admitted(FIFTY, 30) == 30
        for ahead.s in (-DAY_S, DAY_S, -3600.0):
            await one.admitted(FIFTY, 5)
        assert await one.admitted(FIFTY, 30) == 5


@dataclass
class Ahead:
    """A clock of which both hands can be set ahead."""

    s: float = 0.0

    @property
    def clock(self) -> Clock:
        return Clock(lambda: time.monotonic() + self.s, lambda: time.time() + self.s)


async def calls(redis_url: str) -> int:
    """How many scripts the server has run."""
    client = redis.asyncio.Redis.from_url(redis_url)
    stats = (await client.info("commandstats")).get("cmdstat_evalsha", {"calls": 0})
    await client.aclose()
    return int(stats["calls"])
