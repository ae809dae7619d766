"""Counters that Redis has lost: nothing is given twice, whatever was lost, and nothing waits long for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import redis.asyncio

from adapters.types import Usage
from router.core.registry import Seat
from router.guards.limits import counter_recovery
from router.guards.limits.counters import Need, counters_of
from router.guards.limits.ledger import Reservation
from router.guards.limits.local_counters import merged
from router.stores.postgres import Postgres
from router.votelog.dead_letter import DeadLetter
from router.votelog.queries import spent_since
from router.votelog.writer import VoteLog
from tests.guards.limits.ledgers import SMALL, UTC_DAY, LogBook, Replica, replica, scaled, seat, seats
from tests.support.rim import until
from tests.votelog.conftest import vote

DAY = seat(f"requests: 50, per: day, {UTC_DAY}")
ROLLING = seat("requests: 50, per: day")
WAIT_S = counter_recovery.WAIT_S
CLOSED = seat(f"requests: 50, per: day, {UTC_DAY}", on_store_down="closed")


async def flushall(redis_url: str) -> None:
    client = redis.asyncio.Redis.from_url(redis_url)
    await client.flushall()
    await client.aclose()


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def reaches(one: Replica, limited: Seat, name: str, used: int) -> bool:
    return one.used(limited, name) >= used


# --- from the vote log -----------------------------------------------------------------------------------------------


@pytest.fixture
async def postgres(pg_dsn: str) -> AsyncIterator[Postgres]:
    store = Postgres(pg_dsn)
    await store.start()
    assert await store.wait_up(30)
    yield store
    await store.stop()


async def test_a_new_redis_begins_with_what_the_vote_log_has(
    redis_url: str, postgres: Postgres, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    yesterday = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(seconds=1)
    log = VoteLog(postgres, DeadLetter(tmp_path / "dead.jsonl"), say=print)
    log.start()
    for at, provider, model, sent in [
        (now, "acme", "small", True),
        (now, "acme", "large", True),
        (now, "acme", "small", False),
        (now, "other", "small", True),
        (yesterday, "acme", "small", True),
        (ago(25 * 3600), "acme", "small", True),
        (ago(31 * 86400), "acme", "small", True),
    ]:
        spent_on_it = {"input_tokens": 30, "output_tokens": 12, "cost_usd": 0.25}
        log.append(vote(created_at=at, provider=provider, model=model, sent=sent, **spent_on_it))
    assert await log.drain(30)
    small, _ = seats(
        f"requests: 50, per: day, {UTC_DAY}; tokens: 10k, per: day; usd: 5, per: month",
        of_model="tokens: 900, per: minute",
        price="input: 1, output: 1",
    )
    async with replica(redis_url, ask_log=partial(spent_since, postgres)) as one:
        await one.granted(small, Need(0, 0))
        minute, today, rolling_day, rolling_month = [limit.used for limit in one.ledger.left(small)]
        assert (minute, today, rolling_day) == (42, 2 + 1, 3 * 42)
        assert rolling_month == pytest.approx(4 * 0.25)


@pytest.mark.parametrize("limits", [f"requests: 50, per: day, {UTC_DAY}", "requests: 50, per: day"])
async def test_a_missing_counter_never_means_zero(redis_url: str, limits: str) -> None:
    log, limited = LogBook(), seat(limits)
    for _ in range(45):
        log.sent(ago(0.01))
    async with replica(redis_url, log) as one:
        assert await one.admitted(limited, 20) == 5


async def test_the_first_call_of_a_new_day_asks_nobody(redis_url: str) -> None:
    """The counter of a limit outlives its day, so a new day is known to be one."""
    at = time.gmtime(time.time() + 600)
    near = seat(f'requests: 50, per: day, resets: "{at.tm_hour:02}:{at.tm_min:02} UTC"')
    async with replica(redis_url) as one:
        await one.granted(near)
        (counter,) = counters_of(near)
        _, start, end = counter.window.script_args(int(time.time() * 1000))
        client = redis.asyncio.Redis.from_url(redis_url)
        assert await client.hincrby(counter.key, str(start - (end - start)), 50) == 50  # yesterday was used up
        assert await client.pexpiretime(counter.key) >= end + 86_400_000
        await client.hdel(counter.key, str(start))
        await client.aclose()
        one.log.away = True
        assert await one.admitted(near, 60) == 50
        assert one.faults == []


# --- from memory -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limits", [f"requests: 600, per: day, {UTC_DAY}", "requests: 600, per: day"])
async def test_a_flush_under_load_gives_nothing_away(redis_url: str, limits: str) -> None:
    limited = seat(limits)
    async with replica(redis_url) as one:
        load = asyncio.create_task(one.admitted(limited, 1000))
        for reached in (100, 250, 400, 590):
            await until(partial(reaches, one, limited, "requests/day", reached))
            await flushall(redis_url)
        assert await load == 600
        assert await one.looked(limited, "requests/day") == 600
        assert one.faults == []


async def test_a_flush_of_a_minute_under_load_gives_nothing_away(redis_url: str) -> None:
    limited = seat("requests: 60, per: minute")
    async with replica(redis_url, window=scaled(20)) as one:
        load = asyncio.create_task(one.admitted(limited, 150))
        for reached in (10, 30, 50):
            await until(partial(reaches, one, limited, "requests/minute", reached))
            await flushall(redis_url)
        assert await load == 60


async def test_a_replica_tells_what_it_knows_when_another_has_begun_anew(redis_url: str) -> None:
    """The vote log has not got to know yet: without a word of the first, its calls would be forgotten."""
    async with replica(redis_url) as first, replica(redis_url) as second:
        assert await first.admitted(DAY, 30) == 30
        await flushall(redis_url)
        await second.granted(DAY)
        await first.granted(DAY)
        await second.comes_to(DAY, "requests/day", 31)
        assert await second.admitted(DAY, 30) == 19


async def test_what_others_were_seen_to_use_is_not_forgotten(redis_url: str) -> None:
    async with replica(redis_url) as one:
        async with replica(redis_url) as gone:
            assert await gone.admitted(DAY, 30) == 30
        assert await one.admitted(DAY, 5) == 5
        await flushall(redis_url)
        assert await one.admitted(DAY, 30) == 15


async def test_what_was_seen_of_others_is_told_too_when_another_has_begun_anew(redis_url: str) -> None:
    async with replica(redis_url) as first, replica(redis_url) as second:
        async with replica(redis_url) as gone:
            assert await gone.admitted(DAY, 20) == 20
        assert await first.admitted(DAY, 5) == 5
        await flushall(redis_url)
        await second.granted(DAY)
        await first.granted(DAY)
        await second.comes_to(DAY, "requests/day", 26)


async def test_refunds_are_remembered_too(redis_url: str) -> None:
    tokens = seat(f"tokens: 1000, per: day, {UTC_DAY}")
    async with replica(redis_url) as one:
        for _ in range(3):
            one.settle(await one.granted(tokens, Need(300, 0)), usage=Usage(1, output_tokens=9))
        await one.comes_to(tokens, "tokens/day", 30)
        await flushall(redis_url)
        await one.granted(tokens, SMALL)
        assert await one.looked(tokens, "tokens/day") == 40


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ({5: 1}, {4: 1}, {5: 1}),  # the same call, told of in two ways
        ({5: 3}, {5: 2}, {5: 3}),
        ({5: 1, 7: 1}, {1: 9}, {7: 1, 5: 1, 1: 7}),
        ({}, {3: 2}, {3: 2}),
    ],
)
def test_two_accounts_of_the_same_calls_are_not_added_up(
    one: dict[int, int], other: dict[int, int], both: dict[int, int]
) -> None:
    assert merged(one, other) == merged(other, one) == both


# --- and nothing waits ------------------------------------------------------------------------------------------------


async def test_many_who_wait_for_a_counter_ask_the_vote_log_once(redis_url: str) -> None:
    async with replica(redis_url) as one:
        assert await one.admitted(DAY, 60, at_once=60) == 50
        assert one.log.asked == 1


async def test_a_slow_vote_log_costs_a_quarter_of_a_second_once_and_its_answer_counts(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counter_recovery, "WAIT_S", WAIT_S)
    loop = asyncio.get_running_loop()
    async with replica(redis_url, LogBook(let=asyncio.Event())) as one:
        for _ in range(40):
            one.log.sent(ago(0.01))
        began = loop.time()
        assert (await one.granted(DAY)).offline
        assert 0.2 < loop.time() - began < 2 * WAIT_S
        began = loop.time()
        assert (await one.granted(DAY)).offline
        assert loop.time() - began < WAIT_S
        assert one.log.let is not None
        one.log.let.set()
        await until(lambda: not one.ledger.degraded)
        assert await one.admitted(DAY, 20) == 8  # two were given meanwhile
        assert one.faults == [
            "the limits of acme are no longer shared between replicas: what was spent is not known yet",
            "the limits of acme are shared between replicas again",
        ]


async def test_without_log_and_counter_a_closed_provider_waits_and_another_shares(redis_url: str) -> None:
    async with replica(redis_url, LogBook(away=True)) as one:
        block = await one.refused(CLOSED)
        assert block.until == pytest.approx(time.time() + 1, abs=30)
    async with replica(redis_url, LogBook(away=True)) as one:
        assert await one.admitted(DAY, 60) == 25
        assert one.log.asked < 10
        one.log.away = False
        await until(lambda: not one.ledger.degraded)
        assert await one.admitted(DAY, 60) == 25
        await one.comes_to(DAY, "requests/day", 50)


async def test_a_local_grant_that_was_not_sent_is_given_back(redis_url: str) -> None:
    async with replica(redis_url, LogBook(away=True)) as one:
        sent, unsent = await one.granted(DAY), await one.granted(DAY)
        assert isinstance(unsent, Reservation)
        one.settle(unsent, sent=False)
        one.log.away = False
        await until(lambda: not one.ledger.degraded)
        assert await one.looked(DAY, "requests/day") == 1
        one.settle(sent, sent=False)
        await one.comes_to(DAY, "requests/day", 0)
