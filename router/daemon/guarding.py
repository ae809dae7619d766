"""Builds the guards of one daemon from its stores, and keeps the work they do in the background."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import structlog

from healthcheck.monitor import Monitor
from healthcheck.store import Verdicts
from router.attempts.attempt import Attempts
from router.attempts.probing import Probing, build_monitor
from router.core.clock import Clock
from router.core.events import RegistryLoaded, StateChange
from router.core.registry import Registry
from router.core.tasks import background
from router.guards.breaker import Breakers
from router.guards.gossip.sharing import Sharing
from router.guards.guards import Guards
from router.guards.holds import Weather
from router.guards.latency import Pace
from router.guards.limits.ledger import Ledger
from router.observe.events import Hub
from router.stores.opening import Stores
from router.upstream.transport import Transport
from router.votelog.queries import spent_since

_LEARN_S = 0.5  # a replica learns the whole weather before it opens its door, but does not wait long for Redis


@dataclass(frozen=True, slots=True)
class Guarding:
    """The guards, and what the health monitor needs beside them."""

    guards: Guards
    gossip: Sharing
    registry: Callable[[], Registry]
    clock: Clock


@asynccontextmanager
async def open_guards(
    *,
    stores: Stores,
    replica: str,
    clock: Clock,
    registry: Callable[[], Registry],
    events: Hub,
    freed: Callable[[], None],
) -> AsyncIterator[Guarding]:
    """The guards, knowing what other replicas know already; closed, they give back what they hold."""
    sharing = Sharing(stores.redis, replica, clock, registry)
    rng = random.Random()  # noqa: S311 - it spreads waits and guards nothing
    say = structlog.get_logger()

    def breaker_changed(change: StateChange) -> None:
        sharing.tell_breaker(change)
        events.publish(change)

    def on_fault(sentence: str) -> None:
        say.warning("limits", note=sentence)

    weather = Weather(clock, events.publish, sharing.tell)
    breakers = Breakers(clock, breaker_changed, rng)
    verdicts = Verdicts(clock.monotonic, clock.wall)
    ledger = Ledger(
        stores.redis,
        partial(spent_since, stores.postgres),
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

    def reconcile(loaded: RegistryLoaded) -> None:
        if loaded.previous is not None:
            guards.reconcile(loaded.previous, loaded.registry)

    events.subscribe(RegistryLoaded, reconcile)
    events.subscribe(StateChange, lambda change: freed())
    try:
        async with asyncio.timeout(2 * _LEARN_S):
            await asyncio.gather(sharing.board.learn(_LEARN_S), ledger.look(registry().seats.values()))
    except TimeoutError:
        on_fault("what other replicas know could not be learned in time")
    try:
        async with background(sharing.board.run, "board"):
            yield Guarding(guards, sharing, registry, clock)
    finally:
        await ledger.close()
        await sharing.board.close()


@asynccontextmanager
async def open_monitor(
    guarding: Guarding, *, attempts: Attempts, transport: Transport, mask: Callable[[str], str]
) -> AsyncIterator[Monitor]:
    """The health monitor, running."""
    probing = Probing(
        registry=guarding.registry,
        guards=guarding.guards,
        attempts=attempts,
        transport=transport,
        mask=mask,
        clock=guarding.clock,
    )
    monitor = build_monitor(probing, guarding.guards, guarding.gossip, guarding.clock)
    monitor.start()
    try:
        yield monitor
    finally:
        await monitor.stop()
