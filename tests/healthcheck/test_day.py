"""A day of the real loop in a second: probes keep to their share, every model keeps a verdict, and none is wronged."""

from __future__ import annotations

import math
import random
from collections import Counter
from itertools import count, pairwise

import pytest

from adapters.errors import ErrorKind, ProviderError
from adapters.types import Answer
from healthcheck.monitor import Monitor
from healthcheck.subjects import Subject
from tests.healthcheck.timeline import (
    DAY,
    HOUR,
    MINUTE,
    Behaviour,
    Fleet,
    a_day,
    fails,
    monitoring,
    most_within,
    says,
    subject,
)

PROBES = {20: 1, 50: 2, 250: 12, 14_400: 720}  # a day, for limits of so many requests
LIMITS = tuple(PROBES)
SHARE = 0.05
DAY_MINUTES = 24 * 60


def now_and_then(otherwise: Behaviour, first: int = 13) -> Behaviour:
    """The first odd answer is that one, and then every twentieth is: a 200 with an error inside."""
    number = count(20 - first)

    def answer(rng: random.Random) -> Answer | ProviderError:
        broken = ProviderError(ErrorKind.BAD_RESPONSE, "an error in a 200")
        return broken if next(number) % 20 == 19 else otherwise(rng)

    return answer


def thinks_too_long(_: random.Random) -> Answer:
    return Answer(reasoning="The user wants me to", finish_reason="length")


BEHAVIOURS: dict[str, tuple[Behaviour, str]] = {
    "plain": (says("OK"), "healthy"),
    "reasons": (says("OK.", reasoning="The user wants me to reply OK."), "healthy"),
    "thinks": (thinks_too_long, "healthy"),
    "leaks": (says("OK"), "degraded"),
    "chatty": (says("Sure! OK"), "degraded"),
}


async def minutes_of(fleet: Fleet, monitor: Monitor, minutes: int) -> Counter[tuple[str, str]]:
    """What every model was at each full minute after the first ten."""
    seen: Counter[tuple[str, str]] = Counter()
    await fleet.line.run(10 * MINUTE)
    for _ in range(minutes - 10):
        seen.update((one.id, monitor.verdicts.of(one.id).verdict) for one in fleet.subjects)
        await fleet.line.run(MINUTE)
    return seen


@pytest.mark.parametrize("first", [1, 2, 13])
async def test_an_idle_day_within_five_percent_and_nobody_falsely_down(first: int) -> None:
    fleet = Fleet()
    for kind, (behaviour, _) in BEHAVIOURS.items():
        for requests in LIMITS:
            one = subject(f"p{requests}-{kind}/it", a_day(requests))
            fleet.subjects += (one,)
            fleet.behaviour[one.id] = now_and_then(behaviour, first)
            fleet.leaking |= {one.id} if kind == "leaks" else set()
    async with monitoring(fleet, tick_s=15.0) as monitor:
        seen = await minutes_of(fleet, monitor, DAY_MINUTES)

    for kind, (_, condition) in BEHAVIOURS.items():
        for requests in LIMITS:
            id = f"p{requests}-{kind}/it"
            assert 1 <= len(fleet.times(id)) <= SHARE * requests
            conditions = {word for (seen_id, word) in seen if seen_id == id}
            if first == PROBES[requests]:  # no probe of the day is left for a second look
                assert "degraded" in conditions <= {condition, "degraded"}
            else:
                assert conditions == {condition}
        assert len(fleet.times(f"p14400-{kind}/it")) >= 270, "where the limit allows it, about every five minutes"
    assert fleet.said == []


async def test_a_hiccup_at_any_time_leaves_no_model_without_a_verdict_nor_down() -> None:
    fleet = Fleet()
    for requests in LIMITS:
        for place in range(1, 5):
            one = subject(f"p{requests}-{place}/it", a_day(requests))
            fleet.subjects += (one,)
            fleet.behaviour[one.id] = now_and_then(says("OK"), place)
    async with monitoring(fleet, tick_s=30.0) as monitor:
        seen = await minutes_of(fleet, monitor, 4 * DAY_MINUTES + 12 * 60)

    assert {word for _, word in seen} == {"healthy", "degraded"}
    for one in fleet.subjects:
        amount = one.limits[0].amount
        assert most_within(fleet.times(one.id), DAY) <= SHARE * amount
        unsure = seen[one.id, "degraded"] / (seen[one.id, "degraded"] + seen[one.id, "healthy"])
        assert unsure < 0.3, "a hiccup is forgotten with the next answer"
        assert unsure == 0 or amount <= 50, "where there are probes for a second look, it comes at once"


async def test_a_real_answer_ends_the_doubt_that_one_failure_has_left() -> None:
    fleet = Fleet(behaviour={"p/it": fails()})
    async with monitoring(fleet, subject("p/it", a_day(20)), tick_s=5.0) as monitor:
        await fleet.line.run(2 * MINUTE)
        verdict = monitor.verdicts.of("p/it")
        assert (verdict.verdict, verdict.reason) == ("degraded", "failed once: server_error: server_error it was")
        await fleet.line.run(HOUR)
        fleet.succeed("p/it")
        await fleet.line.run(MINUTE)
        assert monitor.verdicts.of("p/it").verdict == "healthy"


@pytest.mark.parametrize("requests", LIMITS)
async def test_a_dead_model_is_down_within_two_probes_and_back_with_one(requests: int) -> None:
    fleet = Fleet(behaviour={"p/dead": fails()})
    async with monitoring(fleet, subject("p/dead", a_day(requests)), tick_s=5.0) as monitor:
        await fleet.line.run(MINUTE + 5)
        assert monitor.verdicts.of("p/dead").reason.endswith("server_error: server_error it was")
        assert monitor.verdicts.of("p/dead").verdict == ("degraded" if requests == 20 else "unknown"), "not down yet"
        while monitor.verdicts.of("p/dead").verdict != "down":
            await fleet.line.run(5)
        first, second = fleet.times("p/dead")
        wait_s = DAY if requests == 20 else 15  # with one probe a day, the second look is tomorrow's
        assert wait_s <= second - first <= wait_s + 5
        fleet.behaviour.clear()
        while len(fleet.times("p/dead")) < 3:
            await fleet.line.run(MINUTE)
        assert monitor.verdicts.of("p/dead").verdict == "healthy"
        assert most_within(fleet.times("p/dead"), DAY) <= SHARE * requests


async def test_what_fails_now_and_then_is_never_down() -> None:
    fleet = Fleet(behaviour={"p/it": now_and_then(says("OK"))})
    async with monitoring(fleet, subject("p/it"), tick_s=5.0):
        await fleet.line.run(DAY)
    asked, again = fleet.times("p/it"), [b - a for a, b in pairwise(fleet.times("p/it")) if b - a < 60]
    assert len(again) == len(asked) // 20, "each hiccup is looked at a second time"
    assert set(fleet.conditions("p/it")) == {"healthy"}


@pytest.mark.parametrize(("requests", "models"), [(250, 4), (50, 2)])
async def test_models_that_share_an_accounts_limit_take_turns_and_all_keep_a_verdict(
    requests: int, models: int
) -> None:
    fleet = Fleet()
    shared = [subject(f"p/{number}", a_day(requests, shared=True)) for number in range(models)]
    async with monitoring(fleet, *shared, tick_s=30.0) as monitor:
        seen = await minutes_of(fleet, monitor, 3 * DAY_MINUTES)

    assert most_within([at for at, _ in fleet.asked], DAY) <= SHARE * requests
    assert {word for _, word in seen} == {"healthy"}
    asked = [len(fleet.times(one.id)) for one in shared]
    assert max(asked) - min(asked) <= 2


async def test_more_models_than_probes_a_day_come_in_turn() -> None:
    fleet = Fleet()
    shared = [subject(f"p/{number}", a_day(50, shared=True)) for number in range(5)]
    async with monitoring(fleet, *shared, tick_s=120.0) as monitor:
        await fleet.line.run(2 * DAY + 10 * MINUTE)
        assert {asked for _, asked in fleet.asked} == {one.id for one in shared}, "two, two more, and the fifth"
        unknown = 0
        for _ in range(20 * 24):
            await fleet.line.run(HOUR)
            unknown += sum(monitor.verdicts.of(one.id).verdict == "unknown" for one in shared)
    assert most_within([at for at, _ in fleet.asked], DAY) <= 2
    assert unknown == 0, "once each had its turn, none is forgotten"


async def test_rounds_are_jittered_and_providers_do_not_march_together() -> None:
    fleet = Fleet()
    models = [subject(f"p{number}/one") for number in range(12)]
    async with monitoring(fleet, *models):
        await fleet.line.run(4 * HOUR)
    gaps = [later - earlier for one in models for earlier, later in pairwise(fleet.times(one.id))]
    assert min(gaps) >= 270
    assert max(gaps) <= 332
    assert len({round(gap) for gap in gaps}) > 30
    assert max(Counter(math.floor(at) for at, _ in fleet.asked if at < 60).values()) <= 3


async def test_the_broken_do_not_take_what_the_rounds_need() -> None:
    fleet = Fleet()
    models = (
        *(subject(f"p/{number}", a_day(250, shared=True)) for number in range(3)),
        subject("q/1", a_day(14_400)),
    )
    fleet.behaviour = {"p/0": fails(), "q/1": fails()}
    fleet.open = {"p/0", "q/1"}
    async with monitoring(fleet, *models, tick_s=5.0) as monitor:
        seen = await minutes_of(fleet, monitor, DAY_MINUTES)
    assert most_within([at for at, asked in fleet.asked if asked.startswith("p/")], DAY) <= 12
    assert most_within(fleet.times("q/1"), DAY) <= 720
    assert [seen[f"p/{number}", "unknown"] for number in (1, 2)] == [0, 0]
    early = [later - earlier for earlier, later in pairwise(fleet.times("q/1")[:100])]
    assert max(early) <= 20, "an open breaker is looked at every 15 s while its share lasts"
    assert seen["q/1", "down"] == seen.total() / len(models)


async def test_small_quotas_of_many_subjects_hold_over_a_week() -> None:
    fleet = Fleet()
    models: tuple[Subject, ...] = tuple(
        subject(f"p{requests}/{number}", a_day(requests, shared=True))
        for requests in (10, 20, 60)
        for number in range(2)
    )
    fleet.behaviour = {one.id: now_and_then(says("OK")) for one in models}
    async with monitoring(fleet, *models, tick_s=120.0):
        await fleet.line.run(7 * DAY)
    for requests in (10, 20, 60):
        times = [at for at, asked in fleet.asked if asked.startswith(f"p{requests}/")]
        assert most_within(times, 2 * DAY) <= 2 * SHARE * requests
        assert len(times) >= 3
