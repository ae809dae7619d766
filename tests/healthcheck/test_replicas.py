"""Many replicas: one asks, all know, and the next one goes on where the last one stopped."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest

from healthcheck.monitor import Monitor
from healthcheck.verdicts import Verdict
from tests.healthcheck.timeline import (
    HOUR,
    MINUTE,
    Fleet,
    Timeline,
    a_day,
    fails,
    monitor_of,
    monitoring,
    most_within,
    subject,
)


class Lease:
    """A lease that one holder has until it lets it lapse."""

    def __init__(self, line: Timeline, ttl_s: float) -> None:
        self._line = line
        self._ttl_s = ttl_s
        self._holder: object = None
        self._until = 0.0

    async def take(self, holder: object) -> bool:
        now = self._line.time.monotonic
        if holder is not self._holder and now < self._until:
            return False
        self._holder, self._until = holder, now + self._ttl_s
        return True


class Replicas:
    """Monitors of one fleet that share a lease and hear each other's verdicts."""

    def __init__(self, fleet: Fleet, number: int) -> None:
        lease = Lease(fleet.line, ttl_s=15)
        self.monitors: list[Monitor] = []
        for _ in range(number):
            holder = object()
            ports = fleet.ports(lead=partial(lease.take, holder))
            self.monitors.append(monitor_of(replace(ports, tell=self._tell), tick_s=5.0))

    def _tell(self, verdict: Verdict) -> None:
        for monitor in self.monitors:  # whoever told it hears it too, as from a shared board
            monitor.hear(verdict)


async def test_of_ten_replicas_that_begin_together_one_asks_and_all_know() -> None:
    fleet = Fleet(latency_s=5)
    fleet.subjects = tuple(subject(f"p{p}/{m}") for p in range(12) for m in range(4))
    replicas = Replicas(fleet, 10)
    for monitor in replicas.monitors:
        monitor.start()
    await fleet.line.run(265)
    for monitor in replicas.monitors:
        assert {monitor.verdicts.of(one.id).verdict for one in fleet.subjects} == {"healthy"}
        await monitor.stop()

    assert len(fleet.asked) == len({name for _, name in fleet.asked}) == 48, "each model once"
    for p in range(12):
        assert most_within([at for at, name in fleet.asked if name.startswith(f"p{p}/")], MINUTE) == 1


async def test_the_next_leader_goes_on_where_the_last_one_stopped() -> None:
    fleet = Fleet()
    fleet.subjects = (subject("p/it", a_day(250)), subject("q/it"))
    replicas = Replicas(fleet, 2)
    for monitor in replicas.monitors:
        monitor.start()
        await fleet.line.run(2)
    await fleet.line.run(3 * HOUR)
    await replicas.monitors[0].stop()
    before = len(fleet.times("p/it"))
    await fleet.line.run(21 * HOUR)
    await replicas.monitors[1].stop()

    assert before == 2
    assert 9 <= len(fleet.times("p/it")) <= 12
    assert max(b - a for a, b in pairwise(fleet.times("q/it"))) <= 350, "a lease, and an interval"
    assert min(b - a for a, b in pairwise(fleet.times("q/it"))) >= 270


async def test_a_restarted_replica_does_not_ask_again_what_it_hears_was_asked() -> None:
    fleet = Fleet(subjects=(subject("p/it", a_day(20)), subject("q/it")))
    monitor = monitor_of(fleet.ports(), tick_s=5.0)
    monitor.hear(Verdict("p/it", "degraded", fleet.line.time.wall - HOUR, "answered something else"))
    monitor.hear(Verdict("q/it", "healthy", fleet.line.time.wall - 100, "answered OK"))
    monitor.start()
    await fleet.line.run(22 * HOUR)
    await monitor.stop()
    assert fleet.times("p/it") == []
    assert monitor.verdicts.of("p/it").verdict == "degraded"
    assert 170 <= fleet.times("q/it")[0] <= 235


@pytest.mark.parametrize("heard", ["before it begins", "while it follows"])
async def test_a_probe_that_is_heard_of_is_counted(heard: str) -> None:
    fleet = Fleet(behaviour={"p/it": fails()}, subjects=(subject("p/it", a_day(50)),), leads=lambda: False)
    monitor = monitor_of(fleet.ports(), tick_s=5.0)
    if heard == "while it follows":
        monitor.start()
        await fleet.line.run(100)
    monitor.hear(Verdict("p/it", "healthy", fleet.line.time.wall, "answered OK"))
    if heard == "before it begins":
        monitor.start()
    fleet.leads = lambda: True
    await fleet.line.run(23 * HOUR)
    assert len(fleet.asked) == 1, "the second look has to wait: two a day are spent"
    await fleet.line.run(2 * HOUR)
    await monitor.stop()
    assert len(fleet.asked) == 2


@pytest.mark.parametrize("after_s", [0, 1])
async def test_what_another_replica_found_down_needs_no_second_look(after_s: float) -> None:
    fleet = Fleet(behaviour={"p/it": fails()})
    async with monitoring(fleet, subject("p/it")) as monitor:
        if after_s:
            await fleet.line.run(after_s)
        monitor.hear(Verdict("p/it", "down", fleet.line.time.wall, "timeout: no answer"))
        await fleet.line.run(6 * MINUTE)
        assert monitor.verdicts.of("p/it").reason == "server_error: server_error it was"
    assert len(fleet.asked) == 1


async def test_a_failure_before_a_restart_is_the_first_of_two() -> None:
    fleet = Fleet(behaviour={"p/it": fails()}, subjects=(subject("p/it", a_day(20)),))
    before, after = (monitor_of(fleet.ports(), tick_s=30.0) for _ in range(2))
    before.start()
    await fleet.line.run(2 * HOUR)
    await before.stop()
    [verdict] = fleet.told
    assert verdict.verdict == "degraded"
    after.hear(verdict)
    after.start()
    await fleet.line.run(25 * HOUR)
    await after.stop()
    assert len(fleet.asked) == 2
    assert after.verdicts.of("p/it").verdict == "down"


async def test_hearing_its_own_verdict_does_not_spend_a_second_probe() -> None:
    fleet = Fleet()
    async with monitoring(fleet, subject("p/it", a_day(50)), tick_s=5.0) as monitor:
        await fleet.line.run(65)
        [verdict] = fleet.told
        monitor.hear(replace(verdict, at=verdict.at + 0.5))
        await fleet.line.run(14 * HOUR)
    assert len(fleet.times("p/it")) == 2
