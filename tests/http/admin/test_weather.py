"""The weather as JSON: the state of every model, as the guards of a daemon know it."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from adapters.errors import ErrorKind, ProviderError
from healthcheck.store import Verdicts
from healthcheck.verdicts import Verdict
from router.core.clock import SYSTEM_CLOCK
from router.guards.breaker import Breakers
from router.guards.guards import Ended, Guards, Permit
from router.guards.holds import Holds
from router.guards.latency import LatencyTracker
from router.guards.limits.ledger import Ledger
from router.http.admin.weather import WeatherApi
from router.stores.redis import Redis
from tests.http.apps import App, served
from tests.support.small_registry import asking, registry

HOME = registry("""\
version: 1
tiers: {cheap: {}}
providers:
  alpha:
    adapter: openai
    api_key: ${KEY}
    limits: [{requests: 30, per: minute}, {requests: 1000, per: day, resets: "00:00 UTC"}]
    models:
      one: {tier: cheap}
      two: {tier: cheap}
  beta:
    adapter: openai
    api_key: ${KEY}
    region: eu
    models:
      three: {tier: {cheap: 4}}
  gamma:
    adapter: openai
    api_key: ${UNSET}
    models:
      four: {tier: cheap}
""")


@pytest.fixture
async def guards(redis_url: str) -> AsyncIterator[Guards]:
    """Guards as a daemon has them, on a Redis of the test's own."""
    redis = Redis(redis_url)
    await redis.ping()

    async def nothing_sent(*_: Any) -> list[Any]:
        return []

    made = Guards(
        holds=Holds(SYSTEM_CLOCK, lambda event: None),
        breakers=Breakers(SYSTEM_CLOCK, lambda event: None, random.Random(1)),
        ledger=Ledger(redis, nothing_sent, SYSTEM_CLOCK, replicas=lambda: 1, on_fault=lambda sentence: None),
        latency=LatencyTracker(SYSTEM_CLOCK),
        verdicts=Verdicts(time.monotonic, time.time),
        clock=SYSTEM_CLOCK,
    )
    yield made
    await made.ledger.close()
    await redis.close()


@pytest.fixture
async def app(guards: Guards) -> AsyncIterator[App]:
    api = WeatherApi(lambda: HOME, guards)
    async with served([web.get("/v1/weather", api.get)]) as running:
        yield running


async def admitted(guards: Guards, seat_id: str) -> Permit:
    permit = await guards.admit(HOME.seats[seat_id], asking(), f"attempt-{random.random()}", streamed=False)
    assert isinstance(permit, Permit)
    return permit


async def models(app: App) -> dict[str, Any]:
    """Every model of the weather by its name."""
    told = (await app.get("/v1/weather")).json
    return {model["model"]: model for provider in told["providers"] for model in provider["models"]}


async def test_a_clear_sky(app: App) -> None:
    told = (await app.get("/v1/weather")).json
    assert told["registry"] == HOME.short_hash
    beta = told["providers"][1]
    assert (beta["provider"], beta["adapter"], beta["region"], beta["inflight"]) == ("beta", "openai", "eu", 0)
    (three,) = beta["models"]
    assert three.pop("probe")["verdict"] == "unknown"
    assert three == {
        "model": "three",
        "tiers": {"cheap": 4},
        "state": "clear",
        "reason": "",
        "until": None,
        "breaker": "closed",
        "limits": [],
        "doubt": None,
    }
    four = (await models(app))["four"]
    assert (four["state"], four["reason"]) == ("no-key", "UNSET is not set")


async def test_limits_show_what_is_used_and_left_and_when_they_begin_anew(app: App, guards: Guards) -> None:
    permit = await admitted(guards, "alpha/one")

    told = (await app.get("/v1/weather")).json["providers"][0]

    assert told["inflight"] == 1
    for model in told["models"]:  # the account's limits are those of both models
        by_name = {limit["limit"]: limit for limit in model["limits"]}
        minute, day = by_name["requests/minute"], by_name["requests/day"]
        assert (minute["amount"], minute["used"], minute["left"], minute["resets_at"]) == (30, 1, 29, None)
        assert (day["amount"], day["used"], day["left"]) == (1000, 1, 999)
        assert day["resets_at"].endswith("T00:00:00+00:00")
    permit.settle(Ended(error=None, sent=True))
    assert (await app.get("/v1/weather")).json["providers"][0]["inflight"] == 0


async def test_an_open_breaker_is_told_apart_from_what_a_provider_asked_for(app: App, guards: Guards) -> None:
    for _ in range(5):
        permit = await admitted(guards, "beta/three")
        permit.settle(Ended(error=ProviderError(ErrorKind.CONNECTION, "refused"), sent=False))
    refused = ProviderError(ErrorKind.RATE_LIMITED, "slow down", retry_after_s=60)
    (await admitted(guards, "alpha/one")).settle(Ended(error=refused, sent=True))

    found = await models(app)

    assert (found["three"]["state"], found["three"]["breaker"]) == ("failing", "open")
    assert found["three"]["until"] is not None
    assert (found["one"]["state"], found["one"]["reason"], found["one"]["breaker"]) == (
        "limited",
        "slow down",
        "closed",
    )
    assert (found["two"]["state"], found["two"]["breaker"]) == ("clear", "closed")


async def test_the_last_probe_and_the_doubt_it_casts(app: App, guards: Guards) -> None:
    at = time.time() - 120
    guards.verdicts.take(Verdict("beta/three", "degraded", at, 'answered something else: "Sure!"', 250))

    three = (await models(app))["three"]

    assert three["state"] == "clear"
    assert three["probe"] == {
        "verdict": "degraded",
        "at": three["probe"]["at"],
        "reason": 'answered something else: "Sure!"',
        "latency_ms": 250,
    }
    assert three["probe"]["at"][:16] == time.strftime("%Y-%m-%dT%H:%M", time.gmtime(at))
    assert "degraded" in three["doubt"]


async def test_one_that_leaks_is_clear_to_be_asked_and_shown_as_leaking(app: App, guards: Guards) -> None:
    (await admitted(guards, "beta/three")).settle(Ended(error=None, sent=True, leaked=True))
    three = (await models(app))["three"]
    assert (three["state"], three["until"]) == ("leaking", None)
    assert "whole answers" in three["reason"]
