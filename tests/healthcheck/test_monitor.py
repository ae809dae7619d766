"""The loop: who is asked, when, and what for."""

from __future__ import annotations

import asyncio

import pytest

from adapters.errors import ErrorKind, ProviderError
from healthcheck.verdicts import ProbeResult
from tests.healthcheck.timeline import (
    DAY,
    HOUR,
    MINUTE,
    Fleet,
    a_day,
    fails,
    monitoring,
    says,
    subject,
)


async def test_a_model_that_a_reload_adds_is_asked_at_once() -> None:
    fleet = Fleet()
    async with monitoring(fleet, subject("p/old")) as monitor:
        await fleet.line.run(100)
        monitor.verdicts.succeeded("q/busy", fleet.line.time.wall)
        fleet.subjects = (subject("p/old"), subject("p/new"), subject("q/new"), subject("q/busy"))
        await fleet.line.run(1)
        assert fleet.times("p/new") == fleet.times("q/new") == [101]
        assert fleet.times("q/busy") == [], "it is known already"
        assert monitor.verdicts.of("p/new").verdict == "healthy"
        fleet.subjects = (subject("q/new"),)
        await fleet.line.run(HOUR)
    assert len(fleet.times("p/new")) == 1


async def test_real_traffic_takes_the_place_of_probes() -> None:
    fleet = Fleet(behaviour={"p/busy": fails(), "p/quiet": says("OK")})
    fleet.succeed("p/busy")
    async with monitoring(fleet, subject("p/busy"), subject("p/quiet")) as monitor:
        for _ in range(60):
            fleet.succeed("p/busy")
            await fleet.line.run(MINUTE)
        assert fleet.times("p/busy") == []
        assert monitor.verdicts.of("p/busy").reason == "answered a real request"
        await fleet.line.run(7 * MINUTE)
        first, second = fleet.times("p/busy")[:2]
        assert 3540 + 270 <= first <= 3540 + 351, "an interval after the last success"
        assert 15 <= second - first <= 16
        assert monitor.verdicts.of("p/busy").verdict == "down"
        monitor.verdicts.succeeded("p/busy", fleet.line.time.wall)
        assert monitor.verdicts.of("p/busy").verdict == "healthy", "at once, where the request was answered"


async def test_a_success_between_two_failures_makes_the_second_a_first() -> None:
    fleet = Fleet(behaviour={"p/it": fails()})
    async with monitoring(fleet, subject("p/it")) as monitor:
        while not fleet.asked:
            await fleet.line.run(1)
        monitor.verdicts.succeeded("p/it", fleet.line.time.wall)
        await fleet.line.run(6 * MINUTE)
        first, second, third = fleet.times("p/it")
    assert second - first >= 270, "it needs no second look"
    assert 15 <= third - second <= 16
    assert fleet.conditions("p/it") == ["unknown", "down"]


async def test_an_open_breaker_is_looked_at_every_fifteen_seconds() -> None:
    fleet = Fleet(open={"p/it"})
    async with monitoring(fleet, subject("p/it"), subject("p/neighbour")):
        await fleet.line.run(10 * MINUTE)
        fleet.open.clear()
        while_open = len(fleet.times("p/it"))
        await fleet.line.run(10 * MINUTE)
    assert 38 <= while_open <= 41
    assert len(fleet.times("p/it")) - while_open <= 3
    assert len(fleet.times("p/neighbour")) <= 5


async def test_no_more_than_four_are_asked_at_once() -> None:
    fleet = Fleet(latency_s=90)
    async with monitoring(fleet, *(subject(f"p{number}/it") for number in range(20))) as monitor:
        await fleet.line.run(10 * MINUTE)
        assert fleet.most_at_once == 4
        assert {name for _, name in fleet.asked} == {f"p{number}/it" for number in range(20)}
        asking = asyncio.create_task(monitor.probe_all())
        await fleet.line.run(10 * MINUTE)
        assert len(await asking) == 20
    assert fleet.most_at_once == 4


async def test_a_model_that_is_not_eligible_is_left_alone_and_not_forgotten() -> None:
    fleet = Fleet()
    async with monitoring(fleet, subject("p/it")) as monitor:
        await fleet.line.run(2 * MINUTE)
        fleet.subjects = (subject("p/it", eligible=False),)
        await fleet.line.run(8 * MINUTE)
        assert monitor.verdicts.of("p/it").verdict == "healthy"
        await fleet.line.run(2 * MINUTE)
        assert monitor.verdicts.of("p/it").verdict == "unknown"
        assert len(fleet.asked) == 1
        fleet.subjects = (subject("p/it"),)
        await fleet.line.run(1)
        assert len(fleet.asked) == 2
    assert fleet.said == []


@pytest.mark.parametrize("kind", ["rate_limited", "quota_exhausted", "billing", "auth", "model_gone"])
async def test_what_has_a_state_of_its_own_leaves_the_verdict_that_stands(kind: str) -> None:
    fleet = Fleet()
    async with monitoring(fleet, subject("p/it"), subject("p/first")) as monitor:
        fleet.behaviour["p/first"] = fails(ErrorKind(kind))
        await fleet.line.run(3 * MINUTE)
        assert monitor.verdicts.of("p/first").reason == f"{kind}: {kind} it was"
        fleet.behaviour["p/it"] = fails(ErrorKind(kind))
        await fleet.line.run(5 * MINUTE)
        assert len(fleet.times("p/it")) == 2
        assert monitor.verdicts.of("p/it").verdict == "healthy"
    assert set(fleet.conditions("p/first")) == {"unknown"}


async def test_one_listing_tells_of_all_models_of_a_provider() -> None:
    fleet = Fleet(listed=frozenset({"one", "org/two"}))
    models = [subject(f"p/{name}", mode="models") for name in ("one", "org/two", "gone")]
    async with monitoring(fleet, *models) as monitor:
        await fleet.line.run(65)
        assert [name for _, name in fleet.asked] == ["p"]
        assert [monitor.verdicts.of(one.id).verdict for one in models] == ["healthy", "healthy", "degraded"]
        assert monitor.verdicts.of("p/gone").reason == "not listed by its provider"

        fleet.listed = ProviderError(ErrorKind.CONNECTION, "connection refused")
        while len(fleet.asked) < 2:
            await fleet.line.run(1)
        assert monitor.verdicts.of("p/one").verdict == "healthy", "once is not enough"
        await fleet.line.run(16)
        assert {monitor.verdicts.of(one.id).verdict for one in models} == {"down"}
        assert len(fleet.asked) == 3


async def test_a_listing_is_spared_only_where_all_models_were_answered_by() -> None:
    fleet = Fleet(listed=frozenset({"one", "two"}))
    fleet.succeed("p/one")
    async with monitoring(fleet, subject("p/one", mode="models"), subject("p/two", mode="models")):
        await fleet.line.run(65)
        assert len(fleet.asked) == 1
        for _ in range(20):
            fleet.succeed("p/one")
            fleet.succeed("p/two")
            await fleet.line.run(MINUTE)
    assert len(fleet.asked) == 1


async def test_a_passive_model_is_never_asked_and_lives_by_its_traffic() -> None:
    fleet = Fleet()
    async with monitoring(
        fleet, subject("p/it", mode="passive"), subject("q/it", a_day(1000), probe_share=0)
    ) as monitor:
        fleet.open = {"p/it", "q/it"}
        await fleet.line.run(HOUR)
        fleet.succeed("p/it")
        await fleet.line.run(MINUTE)
        assert monitor.verdicts.of("p/it").verdict == "healthy"
        assert monitor.verdicts.of("q/it").verdict == "unknown"
        assert await monitor.probe_all() == {}
        await fleet.line.run(10 * MINUTE)
        assert monitor.verdicts.of("p/it").verdict == "unknown"
    assert fleet.asked == []


async def test_a_person_may_have_everything_asked_now_and_it_is_counted() -> None:
    fleet = Fleet(behaviour={"p/dead": fails()}, listed=frozenset({"one"}))
    models = (subject("p/it", a_day(20)), subject("p/dead", a_day(50)), subject("l/one", mode="models"))
    async with monitoring(fleet, *models, tick_s=5.0) as monitor:
        found = await monitor.probe_all()
        assert {id: finding.condition for id, finding in found.items()} == {
            "p/it": "healthy",
            "p/dead": "down",
            "l/one": "healthy",
        }
        assert monitor.verdicts.of("p/it").verdict == "healthy"
        assert monitor.verdicts.of("p/dead").verdict == "unknown", "it may have been a hiccup"
        await fleet.line.run(DAY - MINUTE)
    assert len(fleet.times("p/it")) == 1, "the day's probe is spent"
    assert fleet.conditions("p/dead") == ["unknown", "down"]


async def test_who_asks_while_a_probe_is_under_way_gets_its_result_and_may_leave() -> None:
    fleet = Fleet(latency_s=10)
    async with monitoring(fleet, subject("p/it")) as monitor:
        asking = [asyncio.create_task(monitor.probe_all()) for _ in range(3)]
        await fleet.line.run(5)
        asking[0].cancel()
        await fleet.line.run(6)
        assert [await task for task in asking[1:]] == 2 * [{"p/it": ProbeResult("healthy", "answered OK")}]
    assert len(fleet.asked) == 1
