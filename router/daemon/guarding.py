"""Builds the guards of one daemon from its stores, and keeps the work they do in the background."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from healthcheck.store import Verdicts
from router.core.clock import Clock
from router.core.events import StateChange
from router.core.registry import Registry
from router.core.tasks import background
from router.guards.breaker import Breakers
from router.guards.gossip.sharing import Sharing
from router.guards.guards import Guards
from router.guards.holds import Weather
from router.guards.latency import Pace
from router.guards.limits.ledger import Ledger
from router.stores.opening import Stores
from router.votelog.queries import spent

_LEARN_S = 0.5  # a replica learns the whole weather before it opens its door, but does not wait long for Redis


@asynccontextmanager
async def open_guards(
    *,
    stores: Stores,
    replica: str,
    clock: Clock,
    registry: Callable[[], Registry],
    on_change: Callable[[StateChange], None],
    on_fault: Callable[[str], None],
    freed: Callable[[], None],
) -> AsyncIterator[tuple[Guards, Sharing]]:
    """The guards, knowing what other replicas know already; closed, they give back what they hold."""
    sharing = Sharing(stores.redis, replica, clock, registry)
    rng = random.Random()  # noqa: S311 - it spreads waits and guards nothing

    def breaker_changed(change: StateChange) -> None:
        sharing.tell_breaker(change)
        on_change(change)

    weather = Weather(clock, on_change, sharing.tell)
    breakers = Breakers(clock, breaker_changed, rng)
    verdicts = Verdicts(clock.monotonic, clock.wall)
    ledger = Ledger(
        stores.redis,
        partial(spent, stores.postgres),
        clock,
        replicas=lambda: sharing.board.replicas,
        on_fault=on_fault,
    )
    guards = Guards(
        weather=weather,
        breakers=breakers,
        ledger=ledger,
        pace=Pace(clock),
        verdicts=verdicts,
        clock=clock,
        answered=sharing.board.alive,
        freed=freed,
    )
    sharing.connect(weather, breakers, verdicts.take)
    try:
        async with asyncio.timeout(2 * _LEARN_S):
            await asyncio.gather(sharing.board.learn(_LEARN_S), ledger.look(registry().seats.values()))
    except TimeoutError:
        on_fault("what other replicas know could not be learned in time")
    try:
        async with background(sharing.board.run, "board"):
            yield guards, sharing
    finally:
        await ledger.close()
        await sharing.board.close()
