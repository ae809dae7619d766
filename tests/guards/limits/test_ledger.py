"""The ledger on a real Valkey: what is reserved, what comes back, and what is given only once."""

from __future__ import annotations

import asyncio
import time

import pytest
import redis.asyncio

from adapters.types import LimitSeen, Usage
from router.guards.limits.counters import Need
from router.guards.limits.ledger import Reservation
from tests.guards.limits.ledgers import SMALL, UTC_DAY, replica, scaled, seat, seats
from tests.support.rim import LIMIT_S

FIFTY = seat(f"requests: 50, per: day, {UTC_DAY}")
MINUTE = seat("requests: 30, per: minute")
TOKENS = seat("tokens: 1000, per: minute")
DAY_S = 86400.0


# --- exactly so many -------------------------------------------------------------------------------------------------


async def test_the_51st_call_of_a_50_a_day_limit_never_leaves(redis_url: str) -> None:
    async with replica(redis_url) as one, replica(redis_url) as other:
        assert await one.admitted(FIFTY, 30) == 30
        assert await other.admitted(FIFTY, 30) == 20
        midnight = (time.time() // DAY_S + 1) * DAY_S
        for each in (one, other):
            block = await each.refused(FIFTY)
            assert (block.state, block.reason) == ("quota-spent", "50 of 50 requests a day are used")
            assert block.until == pytest.approx(midnight, abs=30)


@pytest.mark.parametrize("limits", ["requests: 30, per: minute", "requests: 30, per: day", "requests: 30, per: month"])
async def test_a_window_that_rolls_allows_a_full_burst_and_then_nothing(redis_url: str, limits: str) -> None:
    async with replica(redis_url) as one:
        assert await one.admitted(seat(limits), 40, at_once=40) == 30


async def test_a_minute_gives_back_what_has_left_it(redis_url: str) -> None:
    async with replica(redis_url, window=scaled(2)) as one:
        assert await one.admitted(MINUTE, 40) == 30
        block = await one.refused(MINUTE)
        assert (block.state, block.reason) == ("limited", "30 of 30 requests a minute are used")
        assert block.until is not None
        assert block.until - time.time() <= 2.2
        await asyncio.sleep(max(0.0, block.until - time.time()) + 0.01)
        assert await one.admitted(MINUTE, 40) > 0


async def test_all_limits_are_taken_from_or_none(redis_url: str) -> None:
    both = seat(f"requests: 30, per: minute; requests: 3, per: day, {UTC_DAY}")
    async with replica(redis_url) as one:
        assert await one.admitted(both, 10) == 3
        assert await one.looked(both, "requests/minute") == 3


async def test_models_share_the_accounts_limit_and_not_each_others(redis_url: str) -> None:
    small, large = seats("requests: 15, per: day", of_model="requests: 10, per: minute")
    async with replica(redis_url) as one:
        assert await one.admitted(small, 20) == 10
        assert await one.admitted(large, 20) == 5
        assert await one.looked(small, "requests/minute") == 10
        assert await one.looked(small, "requests/day") == 15


async def test_a_limit_that_is_edited_keeps_its_count(redis_url: str) -> None:
    async with replica(redis_url) as one:
        assert await one.admitted(MINUTE, 40) == 30
        await one.refused(MINUTE)
        more = seat("requests: 45, per: minute")
        assert one.ledger.block(more) is None
        assert await one.admitted(more, 40) == 15
        less = await one.refused(seat("requests: 20, per: minute"))
        assert less.reason == "45 of 20 requests a minute are used"


async def test_no_limits_no_round_trip() -> None:
    async with replica("redis://127.0.0.1:1") as one:
        reservation = await one.granted(seat(""))
        one.settle(reservation, usage=Usage(5, output_tokens=5))
        assert (reservation.taken, reservation.offline, one.faults) == ((), False, [])
        assert (one.ledger.block(seat("")), one.ledger.headroom(seat("")), one.ledger.left(seat(""))) == (None, 1.0, [])


# --- only once -------------------------------------------------------------------------------------------------------


async def test_the_same_call_counts_once(redis_url: str) -> None:
    async with replica(redis_url) as one:
        first, second = await one.granted(FIFTY, rid="a"), await one.granted(FIFTY, rid="a")
        assert first == second
        assert await one.looked(FIFTY, "requests/day") == 1


async def test_a_settlement_counts_once(redis_url: str) -> None:
    async with replica(redis_url) as one:
        reservation = await one.granted(TOKENS, Need(500, 0))
        for _ in range(2):
            one.settle(reservation, usage=Usage(40, output_tokens=60))
        one.settle(await one.granted(TOKENS, Need(500, 0)), usage=Usage(3, output_tokens=4))  # in order, so the last
        await one.comes_to(TOKENS, "tokens/minute", 107)


async def test_forgotten_scripts_are_told_again(redis_url: str) -> None:
    async with replica(redis_url) as one:
        reservation = await one.granted(FIFTY)
        await forget_scripts(redis_url)
        await one.granted(FIFTY)
        await forget_scripts(redis_url)
        one.settle(reservation, sent=False)
        await one.comes_to(FIFTY, "requests/day", 1)
        assert one.faults == []


# --- what comes back -------------------------------------------------------------------------------------------------


async def test_what_was_not_sent_comes_back_and_what_was_sent_does_not(redis_url: str) -> None:
    one_only = seat(f"requests: 1, per: day, {UTC_DAY}")
    async with replica(redis_url) as one, replica(redis_url) as other:
        unsent = await one.granted(one_only)
        await one.refused(one_only)
        one.settle(unsent, sent=False)
        await one.comes_to(one_only, "requests/day", 0)
        assert one.ledger.block(one_only) is None
        other.settle(await other.granted(one_only), sent=True)
        await one.refused(one_only)


async def test_tokens_settle_to_what_the_provider_reports_up_or_down(redis_url: str) -> None:
    async with replica(redis_url) as one:
        frugal, greedy, silent = [await one.granted(TOKENS, Need(200, 0)) for _ in range(3)]
        one.settle(frugal, usage=Usage(10, output_tokens=20))
        one.settle(greedy, usage=Usage(300, output_tokens=200))
        one.settle(silent)
        await one.comes_to(TOKENS, "tokens/minute", 30 + 500 + 200)


async def test_a_smaller_call_may_fit_where_a_larger_one_does_not(redis_url: str) -> None:
    async with replica(redis_url) as one:
        await one.granted(TOKENS, Need(700, 0))
        block = await one.refused(TOKENS, Need(400, 0))
        assert block.reason == "700 of 1000 tokens a minute are used, and this call needs about 400"
        assert one.ledger.block(TOKENS) is None
        await one.granted(TOKENS, Need(300, 0))


async def test_a_call_that_can_never_fit_is_refused_for_good(redis_url: str) -> None:
    async with replica(redis_url) as one:
        block = await one.refused(TOKENS, Need(1001, 0))
        assert (block.until, block.reason) == (None, "needs about 1001 tokens, more than its limit of 1000 a minute")
        await one.granted(TOKENS, Need(1002, 0, max_tokens_guessed=True))


async def test_a_caller_who_leaves_while_it_is_asked_takes_nothing(redis_url: str) -> None:
    async with replica(redis_url) as one:
        await one.granted(FIFTY)
        for turns in range(20):
            asking = asyncio.create_task(one.ledger.reserve(FIFTY, SMALL, f"leaving {turns}"))
            for _ in range(turns // 2):
                await asyncio.sleep(0)
            asking.cancel()
            given = (await asyncio.gather(asking, return_exceptions=True))[0]
            if isinstance(given, Reservation):
                one.settle(given, sent=False)
        async with asyncio.timeout(LIMIT_S):
            while await one.looked(FIFTY, "requests/day") > 2:  # one may have arrived after it was taken back
                await asyncio.sleep(0.005)


# --- what headers say ------------------------------------------------------------------------------------------------


async def test_headers_lower_what_is_left_and_never_raise_it(redis_url: str) -> None:
    async with replica(redis_url) as one:
        for remaining, used in ((49.0, 1), (40.0, 10), (48.0, 11)):
            one.settle(await one.granted(FIFTY), seen=(LimitSeen("requests", "day", remaining=remaining),))
            await one.comes_to(FIFTY, "requests/day", used)
        one.settle(await one.granted(FIFTY), seen=(LimitSeen("requests", "minute", remaining=0),))
        assert one.ledger.block(FIFTY) is None


async def test_what_headers_took_from_a_minute_comes_back_when_they_say(redis_url: str) -> None:
    async with replica(redis_url, window=scaled(20)) as one:
        seen = (LimitSeen("requests", "minute", limit=30, remaining=0, resets_in_s=1.5),)
        one.settle(await one.granted(MINUTE), seen=seen)
        await one.comes_to(MINUTE, "requests/minute", 30)
        block = await one.refused(MINUTE)
        assert block.until is not None
        assert block.until - time.time() < 1.7
        await asyncio.sleep(max(0.0, block.until - time.time()) + 0.01)
        assert await one.admitted(MINUTE, 40) == 29


async def forget_scripts(redis_url: str) -> None:
    client = redis.asyncio.Redis.from_url(redis_url)
    await client.script_flush()
    await client.aclose()
