"""The guards of one process by themselves: what a probe's verdict opens, and what a plan may count on."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from adapters.errors import ErrorKind, ProviderError
from healthcheck.store import Verdicts
from healthcheck.verdicts import Condition, Verdict
from router.core.clock import Clock
from router.core.events import VerdictFound, VerdictHeard
from router.guards.breaker import Breakers
from router.guards.guards import Ended, Guards, Permit
from router.guards.holds import Holds
from router.guards.latency import LatencyTracker
from tests.guards.limits.ledgers import UTC_DAY, Replica, replica, seat
from tests.support.small_registry import FakeTime, asking, registry

HOME = registry()
SEAT = HOME.seats["beta/small"]


def guards_of(limits: Replica, clock: Clock) -> Guards:
    """Guards around a ledger, which publish to nobody."""
    return Guards(
        holds=Holds(clock, lambda event: None),
        breakers=Breakers(clock, lambda event: None, random.Random(1)),
        ledger=limits.ledger,
        latency=LatencyTracker(clock),
        verdicts=Verdicts(clock.monotonic, clock.wall),
        clock=clock,
    )


@asynccontextmanager
async def guarding(clock: Clock) -> AsyncIterator[Guards]:
    """Guards without Redis, for seats without limits."""
    async with replica("redis://127.0.0.1:1") as limits:
        yield guards_of(limits, clock)


@pytest.mark.parametrize("event", [VerdictFound, VerdictHeard])
@pytest.mark.parametrize(
    ("condition", "failed_once", "passes"),
    [("healthy", False, True), ("degraded", False, True), ("degraded", True, False), ("down", False, False)],
)
async def test_a_probe_that_passed_lets_a_new_seat_serve_and_an_open_breaker_try(
    event: type[VerdictFound | VerdictHeard], condition: Condition, failed_once: bool, passes: bool
) -> None:
    time = FakeTime()
    async with guarding(time.clock) as guards:
        for _ in range(5):
            permit = await guards.admit(SEAT, asking(), "call", streamed=False)
            assert isinstance(permit, Permit)
            permit.settle(Ended(ProviderError(ErrorKind.CONNECTION, "refused"), sent=False))
        guards.holds.reconcile(replace(HOME, seats={}), HOME)
        assert guards.breakers.state(SEAT.id) == "open"

        guards.on_verdict(event(Verdict(SEAT.id, condition, time.wall, "its answer", failed_once=failed_once)))

        assert (guards.holds.block(SEAT) is None) == passes
        assert guards.breakers.state(SEAT.id) == ("half-open" if passes else "open")


async def test_the_room_of_a_seat_is_counted_in_requests_and_in_nothing_else(redis_url: str) -> None:
    limits = f"requests: 30, per: minute; requests: 20, per: day, {UTC_DAY}; tokens: 5k, per: minute"
    both, tokens = seat(limits), seat("tokens: 5k, per: minute", provider="other")
    async with replica(redis_url) as one:
        guards = guards_of(one, FakeTime().clock)
        assert (guards.room(both), guards.room(tokens)) == (20, float("inf"))
        for _ in range(3):
            await one.granted(both)
        assert (guards.room(both), guards.room(tokens)) == (17, float("inf"))


async def test_a_permit_is_settled_once() -> None:
    async with guarding(FakeTime().clock) as guards:
        permit = await guards.admit(SEAT, asking(), "call", streamed=False)
        assert isinstance(permit, Permit)
        assert guards.inflight("beta") == 1
        for _ in range(2):
            permit.settle(Ended(error=None, sent=True))
        assert guards.inflight("beta") == 0
