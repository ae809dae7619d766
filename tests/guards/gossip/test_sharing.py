"""What the guards of one replica learn, those of the others know: holds, open breakers, verdicts, and nothing twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

import pytest

from adapters.errors import ErrorKind, ProviderError
from healthcheck.verdicts import Condition, Verdict
from router.core.clock import SYSTEM_CLOCK
from router.core.events import HoldChanged, StateChange, VerdictFound, VerdictHeard
from router.core.registry import Registry
from router.guards.breaker import BreakerPermit, Breakers
from router.guards.gossip.sharing import Gossip
from router.guards.holds import Holds
from router.observe.events import Hub
from router.stores.redis import Redis
from tests.support.rim import until
from tests.support.small_registry import REGISTRY, registry

HOME = registry()
SEAT = HOME.seats["alpha/small"]


@dataclass
class Replica:
    """The guards of one replica that gossip, and the events that it published."""

    events: Hub
    holds: Holds
    breakers: Breakers
    gossip: Gossip
    states: list[StateChange] = field(default_factory=list)
    shared: list[HoldChanged] = field(default_factory=list)
    heard: list[Verdict] = field(default_factory=list)

    def find(self, condition: Condition, *, failed_once: bool = False) -> Verdict:
        """Its own probe ends in this verdict."""
        verdict = Verdict(SEAT.id, condition, SYSTEM_CLOCK.wall(), "a reason", failed_once=failed_once)
        self.events.publish(VerdictFound(verdict))
        return verdict

    def break_(self) -> None:
        """Its breaker of the seat opens."""
        while self.breakers.state(SEAT.id) == "closed":
            permit = self.breakers.admit(SEAT)
            assert isinstance(permit, BreakerPermit)
            self.breakers.settle(permit, "failure")


Join = Callable[..., Replica]


@pytest.fixture
async def join(redis_url: str) -> AsyncIterator[Join]:
    """Makes replicas that gossip until the test ends, wired as a daemon wires them."""
    async with AsyncExitStack() as stack:

        def made(name: str, home: Registry = HOME) -> Replica:
            events, redis = Hub(), Redis(redis_url)
            holds = Holds(SYSTEM_CLOCK, events.publish)
            breakers = Breakers(SYSTEM_CLOCK, events.publish, random.Random(1))
            gossip = Gossip(
                redis,
                name,
                SYSTEM_CLOCK,
                registry=lambda: home,
                holds=holds,
                breakers=breakers,
                publish=events.publish,
            )
            replica = Replica(events, holds, breakers, gossip)
            events.subscribe(HoldChanged, gossip.on_hold)
            events.subscribe(StateChange, gossip.on_state)
            events.subscribe(VerdictFound, gossip.on_verdict)
            events.subscribe(HoldChanged, replica.shared.append)
            events.subscribe(StateChange, replica.states.append)
            events.subscribe(VerdictHeard, lambda event: replica.heard.append(event.verdict))
            stack.push_async_callback(redis.close)
            stack.push_async_callback(_end, asyncio.create_task(gossip.board.run()))
            stack.push_async_callback(_end, asyncio.create_task(_ping(redis)))
            return replica

        yield made


async def _ping(redis: Redis) -> None:
    while True:
        await redis.ping()
        await asyncio.sleep(0.05)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


async def test_a_hold_is_known_to_all_and_told_once(join: Join) -> None:
    one, two = join("r1"), join("r2")
    one.holds.learn(SEAT, ProviderError(ErrorKind.RATE_LIMITED, "slow down", retry_after_s=60))
    await until(lambda: two.holds.block(SEAT) is not None)
    assert [(change.subject, change.state) for change in two.states] == [(SEAT.id, "limited")]
    two.holds.drain("alpha", "maintenance", None)
    await until(lambda: "drained" in [change.state for change in one.states])
    assert two.holds.undrain("alpha")
    await until(lambda: one.states[-1].reason == "lifted by another replica")
    # What was learned from the other is not told again: only the drain, and its end, are its own.
    assert [(change.kind, change.block is None) for change in one.shared] == [("wait", False)]
    assert [(change.kind, change.block is None) for change in two.shared] == [("drain", False), ("drain", True)]


async def test_a_new_seat_is_new_to_each_replica_by_itself(join: Join) -> None:
    one, two = join("r1"), join("r2")
    one.holds.reconcile(replace(HOME, seats={}), HOME)
    one.holds.drain("beta", "maintenance", None)
    await until(lambda: two.states != [])
    assert [change.subject for change in two.states] == ["beta"]
    assert [change.kind for change in one.shared] == ["drain"]


async def test_open_breakers_are_known_to_all_but_close_nobody_else_s(join: Join) -> None:
    one, two = join("r1"), join("r2")
    one.break_()
    assert one.gossip.open_seats() == {SEAT.id}
    await until(lambda: two.gossip.open_seats() == {SEAT.id})
    assert two.breakers.block(SEAT) is None
    one.breakers.reconcile(HOME, replace(HOME, seats={}))  # it is forgotten, so nothing is open any more
    await until(lambda: two.gossip.open_seats() == set())


@pytest.mark.parametrize(("condition", "failed_once"), [("healthy", False), ("degraded", True), ("down", False)])
async def test_a_verdict_is_heard_by_all_others_as_it_was_found(
    join: Join, condition: Condition, failed_once: bool
) -> None:
    one, two = join("r1"), join("r2")
    found = one.find(condition, failed_once=failed_once)
    await until(lambda: two.heard != [])
    (heard,) = two.heard
    assert (heard.subject, heard.verdict, heard.reason, heard.failed_once) == (
        found.subject,
        condition,
        "a reason",
        failed_once,
    )
    assert one.heard == [], "its own"
    (known,) = two.gossip.verdicts()
    assert replace(known, at=heard.at) == heard
    assert known.at == pytest.approx(heard.at, abs=1)


async def test_what_was_learned_with_another_key_says_nothing_but_a_drain_does(join: Join) -> None:
    head = "  alpha:\n    adapter: openai\n"
    moved = registry(REGISTRY.replace(head, f"{head}    base_url: https://elsewhere.example/v1\n"))
    one, two = join("r1"), join("r2", moved)
    one.holds.learn(SEAT, ProviderError(ErrorKind.AUTH, "no such key"))
    one.find("down")
    one.holds.drain("alpha", "maintenance", None)
    await until(lambda: two.states != [])
    assert [change.state for change in two.states] == ["drained"]
    assert (two.heard, two.gossip.verdicts()) == ([], [])
