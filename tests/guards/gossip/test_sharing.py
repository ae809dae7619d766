"""What the verdict of a probe does to the guards of a replica."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from healthcheck.verdicts import FAILED_ONCE, Condition, Verdict
from router.guards.breaker import Breakers
from router.guards.gossip.sharing import Sharing
from router.guards.holds import Weather
from router.stores.redis import Redis
from tests.guards.test_holds import HOME, NOON, SEAT
from tests.support.small_registry import FakeTime


@pytest.mark.parametrize(
    ("condition", "reason", "serves"),
    [
        ("healthy", "OK", True),
        ("degraded", "chatty", True),
        ("degraded", f"{FAILED_ONCE}a 200 with an error inside", False),
        ("down", "failed twice", False),
    ],
)
async def test_a_new_model_serves_after_a_probe_that_passed(condition: Condition, reason: str, serves: bool) -> None:
    time = FakeTime(wall=NOON)
    weather = Weather(time.clock, lambda change: None)
    breakers = Breakers(time.clock, lambda change: None, random.Random(1))
    sharing = Sharing(Redis("redis://127.0.0.1:1"), "one", time.clock, lambda: HOME)
    sharing.connect(weather, breakers, lambda verdict: None)
    without = replace(HOME, seats={id: seat for id, seat in HOME.seats.items() if id != SEAT.id})
    weather.reconcile(without, HOME)
    assert weather.block(SEAT) is not None

    sharing.tell_verdict(Verdict(SEAT.id, condition, NOON, reason))

    assert (weather.block(SEAT) is None) == serves
