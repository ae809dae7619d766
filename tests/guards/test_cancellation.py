"""Attempts that are cancelled while the guards are asked: each ends cancelled at once, and holds nothing afterwards."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import redis.asyncio

from adapters.errors import ErrorKind, ProviderError
from router.core.block import Block
from router.core.clock import SYSTEM_CLOCK
from router.core.registry import Seat
from router.core.tasks import CancelReason, cancel, cancel_reason
from router.guards.guards import Ended, Guards, Permit
from router.guards.limits.counters import Counter
from router.guards.limits.redis_counters import CounterChange
from router.stores.redis import TIMEOUT_S
from tests.guards.limits.ledgers import UTC_DAY, LogBook, Replica, replica, seat
from tests.guards.test_admit import guards_of
from tests.support.rim import LIMIT_S, until
from tests.support.small_registry import FakeTime, asking

DAY = seat(f"requests: 500, per: day, {UTC_DAY}")
TWO = seat(f"requests: 500, per: day, {UTC_DAY}; tokens: 5M, per: minute")
TURNS = 40  # of the event loop: more than an admission takes that nothing holds up
_numbers = itertools.count()


@dataclass
class Asking:
    """One attempt that asks the guards, and why it was cancelled, as it sees that itself."""

    guards: Guards
    seat: Seat
    reasons: list[CancelReason | None] = field(default_factory=list)

    def begin(self) -> asyncio.Task[Permit | Block]:
        return asyncio.create_task(self._ask())

    async def _ask(self) -> Permit | Block:
        try:
            return await self.guards.admit(self.seat, asking(), f"call {next(_numbers)}", streamed=True)
        except asyncio.CancelledError:
            self.reasons.append(cancel_reason())
            raise

    async def cancelled_after(self, wait: Callable[[], Awaitable[object]]) -> None:
        """Begins, waits, cancels: whatever was not over by then ends cancelled, and knows why."""
        task = self.begin()
        await wait()
        await self.cancelled(task)

    async def cancelled(self, task: asyncio.Task[Permit | Block]) -> None:
        was_done, before = task.done(), len(self.reasons)
        cancel(task, CancelReason.NOT_NEEDED)
        await asyncio.wait([task], timeout=LIMIT_S)
        if was_done:
            permit = task.result()
            assert isinstance(permit, Permit), permit
            permit.settle(Ended(None, sent=False))
        else:
            assert task.cancelled()
            assert len(self.reasons) == before or self.reasons[before:] == [CancelReason.NOT_NEEDED]


def turns(number: int) -> Callable[[], Awaitable[object]]:
    """So many turns of the event loop."""

    async def pass_() -> None:
        for _ in range(number):
            await asyncio.sleep(0)

    return pass_


async def holds_nothing(one: Replica, guards: Guards, limited: Seat) -> None:
    """Waits until nothing is reserved any more; in flight there is nothing at once."""
    assert guards.inflight(limited.provider.id) == 0
    for limit in one.ledger.left(limited):
        await one.comes_to(limited, limit.name, 0)


async def emptied(redis_url: str) -> None:
    client = redis.asyncio.Redis.from_url(redis_url)
    await client.flushall()
    await client.aclose()


@asynccontextmanager
async def paused(redis_url: str) -> AsyncIterator[None]:
    """Redis keeps every script waiting inside the block."""
    client = redis.asyncio.Redis.from_url(redis_url)
    await client.client_pause(60_000, all=False)  # nobody who may write, as every script may
    try:
        yield
    finally:
        await client.client_unpause()
        await client.aclose()


# --- at every await on the way ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("limited", [DAY, TWO], ids=["one-limit", "two-limits"])
async def test_cancelled_at_any_turn_of_a_reservation(redis_url: str, limited: Seat) -> None:
    async with replica(redis_url) as one:
        guards = guards_of(one, SYSTEM_CLOCK)
        asks = Asking(guards, limited)
        for number in range(TURNS):
            await asks.cancelled_after(turns(number))
        assert CancelReason.NOT_NEEDED in asks.reasons
        await holds_nothing(one, guards, limited)
        assert one.faults == []


async def test_cancelled_at_any_turn_of_a_counter_s_recovery(redis_url: str) -> None:
    for number in range(TURNS):
        await emptied(redis_url)
        async with replica(redis_url) as one:
            guards = guards_of(one, SYSTEM_CLOCK)
            await Asking(guards, DAY).cancelled_after(turns(number))
            await holds_nothing(one, guards, DAY)
            permit = await Asking(guards, DAY).begin()
            assert isinstance(permit, Permit)
            assert await one.looked(DAY, "requests/day") == 1
            permit.settle(Ended(None, sent=True))


async def test_who_is_cancelled_while_a_counter_is_recovered_leaves_it_to_the_others(redis_url: str) -> None:
    async with replica(redis_url, LogBook(let=asyncio.Event())) as one:
        guards = guards_of(one, SYSTEM_CLOCK)
        asks = Asking(guards, DAY)
        tasks = [asks.begin() for _ in range(5)]
        await until(lambda: one.log.asked == 1)
        await turns(TURNS)()
        assert guards.inflight("acme") == 5
        for task in tasks[:4]:
            await asks.cancelled(task)
        assert asks.reasons == [CancelReason.NOT_NEEDED] * 4
        assert guards.inflight("acme") == 1
        assert one.log.let is not None
        one.log.let.set()
        permit = await tasks[4]
        assert isinstance(permit, Permit)
        permit.settle(Ended(None, sent=False))
        assert one.log.asked == 1
        await holds_nothing(one, guards, DAY)


async def test_cancelled_without_redis_while_the_vote_log_is_asked() -> None:
    async with replica("redis://127.0.0.1:1", LogBook(let=asyncio.Event())) as one:
        guards = guards_of(one, SYSTEM_CLOCK)
        asks = Asking(guards, DAY)
        for number in range(TURNS // 2):
            await asks.cancelled_after(turns(number))
        assert guards.inflight("acme") == 0
        assert one.used(DAY, "requests/day") == 0
        assert one.log.let is not None
        one.log.let.set()
        assert isinstance(await asks.begin(), Permit)


async def test_cancelled_while_it_waits_for_a_connection_or_an_answer(redis_url: str) -> None:
    """More than may ask Redis at once: some wait for their turn, the others for an answer that does not come."""
    async with replica(redis_url) as one:
        guards = guards_of(one, SYSTEM_CLOCK)
        asks = Asking(guards, DAY)
        async with paused(redis_url):
            tasks = [asks.begin() for _ in range(50)]
            await turns(TURNS)()
            assert guards.inflight("acme") == 50
            for task in tasks:
                cancel(task, CancelReason.NOT_NEEDED)
            await asyncio.wait(tasks, timeout=LIMIT_S)
            assert all(task.cancelled() for task in tasks)
        assert asks.reasons == [CancelReason.NOT_NEEDED] * 50
        await holds_nothing(one, guards, DAY)
        assert (one.redis.up, one.faults) == (True, [])


@pytest.mark.parametrize("patience_s", [None])
async def test_cancelled_about_when_redis_is_given_up(redis_url: str) -> None:
    """A time-out and a cancellation in the same moment: the cancellation wins, or came too late."""
    async with replica(redis_url) as one:
        guards = guards_of(one, SYSTEM_CLOCK)
        asks, loop = Asking(guards, DAY), asyncio.get_running_loop()
        async with paused(redis_url):
            began = loop.time()
            tasks = [asks.begin() for _ in range(30)]
            early = set()
            for place, task in enumerate(tasks):
                await asyncio.sleep(max(0.0, began + TIMEOUT_S + (place - 15) * 0.001 - loop.time()))
                early |= set() if task.done() else {task}
                cancel(task, CancelReason.NOT_NEEDED)
            await asyncio.wait(tasks, timeout=LIMIT_S)
        assert early == {task for task in tasks if task.cancelled()}
        assert asks.reasons == [CancelReason.NOT_NEEDED] * len(early)
        for task in set(tasks) - early:
            permit = task.result()
            assert isinstance(permit, Permit)
            permit.settle(Ended(None, sent=False))
        assert guards.inflight("acme") == 0
        async with asyncio.timeout(LIMIT_S):
            while not await one.redis.ping() or one.ledger.degraded:
                await asyncio.sleep(0.01)
        await holds_nothing(one, guards, DAY)


# --- what else an attempt holds --------------------------------------------------------------------------------------


async def test_the_one_trial_of_a_half_open_breaker_is_free_again_at_once(redis_url: str) -> None:
    time = FakeTime()
    async with replica(redis_url) as one:
        guards = guards_of(one, time.clock)
        asks = Asking(guards, DAY)
        for _ in range(5):
            permit = await asks.begin()
            assert isinstance(permit, Permit)
            permit.settle(Ended(ProviderError(ErrorKind.CONNECTION, "refused"), sent=False))
        time.pass_(60)
        assert guards.breakers.state(DAY.id) == "half-open"
        async with paused(redis_url):
            trial = asks.begin()
            await turns(TURNS)()
            assert isinstance(await asks.begin(), Block)
            await asks.cancelled(trial)
        assert guards.breakers.block(DAY) is None
        permit = await asks.begin()
        assert isinstance(permit, Permit)
        permit.settle(Ended(None, sent=True))
        assert guards.breakers.state(DAY.id) == "closed"


async def test_a_reservation_that_arrives_after_it_was_taken_back_takes_nothing(redis_url: str) -> None:
    """On another connection, a late one: what takes it back may be there first."""
    async with replica(redis_url) as one:
        await one.granted(DAY, rid="known")
        one.settle(await one.granted(DAY, rid="late"), sent=False)
        await one.comes_to(DAY, "requests/day", 1)
        late = one.ledger._shared
        counters = [(local.counter, 1) for local in one.ledger._counters.of(DAY)]
        taken_back = [(f"never {number}", [_refund(counter) for counter, _ in counters]) for number in range(3)]
        assert [reply.status for reply in await late.settle(taken_back)] == ["gone"] * 3
        assert [(await late.reserve(rid, counters)).status for rid, _ in taken_back] == ["void"] * 3
        assert [reply.status for reply in await late.settle(taken_back)] == ["gone"] * 3
        assert await one.looked(DAY, "requests/day") == 1


def _refund(counter: Counter) -> CounterChange:
    return CounterChange(counter, -1)
