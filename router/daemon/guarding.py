"""Builds the guards and the health monitor of one daemon, in order, and runs the work they do in the background.

Every part is handed parts that exist already. What later parts need to hear from earlier ones goes through the hub,
and all subscriptions of these parts are made here.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import structlog

from healthcheck.monitor import Monitor, MonitorPorts
from healthcheck.store import Verdicts
from healthcheck.verdicts import Verdict
from router.attempts.attempt import Attempts
from router.attempts.probing import Probing
from router.core.clock import Clock
from router.core.events import HoldChanged, RegistryLoaded, StateChange, VerdictFound, VerdictHeard
from router.core.registry import Registry
from router.core.tasks import background
from router.guards.breaker import Breakers
from router.guards.gossip.sharing import Gossip
from router.guards.guards import Guards
from router.guards.holds import Holds
from router.guards.latency import LatencyTracker
from router.guards.limits.ledger import Ledger
from router.observe.events import Hub
from router.stores.opening import Stores
from router.upstream.transport import Transport
from router.votelog.queries import spent_since

_LEARN_S = 0.5  # a replica learns what the others know before it serves, but does not wait long for Redis
_LEASE_S = 10.0  # of the replica that probes: ten of the monitor's ticks
_spread = random.random  # over the interval in which probes are due


@dataclass(frozen=True, slots=True)
class Guarding:
    """The guards, and what the health monitor needs beside them."""

    guards: Guards
    gossip: Gossip
    registry: Callable[[], Registry]
    clock: Clock
    events: Hub


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
    """The guards, which know what other replicas know already; closed, they give back what they hold.

    `registry` reads the registry in force, `freed` is called when a seat may be free again.
    """
    holds = Holds(clock, events.publish)
    breakers = Breakers(clock, events.publish, random.Random())  # noqa: S311 - it spreads load and guards nothing
    gossip = Gossip(
        stores.redis, replica, clock, registry=registry, holds=holds, breakers=breakers, publish=events.publish
    )
    ledger = Ledger(
        stores.redis,
        partial(spent_since, stores.postgres),
        clock,
        replicas=gossip.board.replicas,
        on_fault=partial(_warn, "limits"),
    )
    guards = Guards(
        holds=holds,
        breakers=breakers,
        ledger=ledger,
        latency=LatencyTracker(clock),
        verdicts=Verdicts(clock.monotonic, clock.wall),
        clock=clock,
        answered=gossip.board.alive,
        freed=freed,
    )
    events.subscribe(HoldChanged, gossip.on_hold)
    events.subscribe(StateChange, gossip.on_state)
    events.subscribe(StateChange, partial(_freed_by, freed))
    events.subscribe(VerdictFound, gossip.on_verdict)
    events.subscribe(VerdictFound, guards.on_verdict)
    events.subscribe(VerdictHeard, guards.on_verdict)
    events.subscribe(RegistryLoaded, partial(_reconcile, guards))
    try:
        async with asyncio.timeout(2 * _LEARN_S):
            await asyncio.gather(gossip.board.learn(_LEARN_S), ledger.look(registry().seats.values()))
    except TimeoutError:
        _warn("limits", "what other replicas know could not be learned in time")
    try:
        async with background(gossip.board.run, "board"):
            yield Guarding(guards, gossip, registry, clock, events)
    finally:
        await ledger.close()
        await gossip.board.close()


@asynccontextmanager
async def open_monitor(
    guarding: Guarding, *, attempts: Attempts, transport: Transport, mask: Callable[[str], str]
) -> AsyncIterator[Monitor]:
    """The health monitor, running; it probes while this replica holds the lease, and hears other replicas' verdicts."""
    clock, gossip, events = guarding.clock, guarding.gossip, guarding.events
    probing = Probing(
        registry=guarding.registry,
        guards=guarding.guards,
        attempts=attempts,
        transport=transport,
        mask=mask,
        clock=clock,
    )
    ports = MonitorPorts(
        subjects=probing.subjects,
        probe=probing.probe,
        list_models=probing.list_models,
        lead=partial(gossip.board.lease, "health", _LEASE_S),
        alive_at=gossip.board.alive_at,
        open_seats=gossip.open_seats,
        tell=partial(_found, events),
        say=partial(_warn, "health"),
        monotonic=clock.monotonic,
        wall=clock.wall,
        random=_spread,
        sleep=asyncio.sleep,
    )
    monitor = Monitor(ports, guarding.guards.verdicts)
    events.subscribe(VerdictHeard, partial(_heard, monitor))
    for verdict in gossip.verdicts():  # read from the board before the monitor was there to hear it
        monitor.hear(verdict)
    monitor.start()
    try:
        yield monitor
    finally:
        await monitor.stop()


def _freed_by(freed: Callable[[], None], _: StateChange) -> None:
    freed()


def _reconcile(guards: Guards, loaded: RegistryLoaded) -> None:
    if loaded.previous is not None:
        guards.reconcile(loaded.previous, loaded.registry)


def _found(events: Hub, verdict: Verdict) -> None:
    events.publish(VerdictFound(verdict))


def _heard(monitor: Monitor, event: VerdictHeard) -> None:
    monitor.hear(event.verdict)


def _warn(event: str, note: str) -> None:
    structlog.get_logger().warning(event, note=note)
