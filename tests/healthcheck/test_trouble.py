"""What cannot stop the loop: parts that are broken, probes that break or hang, and its own end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from adapters.errors import ErrorKind, ProviderError
from healthcheck.verdicts import ProbeResult
from tests.healthcheck.timeline import (
    HOUR,
    MINUTE,
    Fleet,
    monitor_of,
    monitoring,
    subject,
)
from tests.support.rim import until


async def test_nothing_that_is_handed_in_can_end_the_loop() -> None:
    fleet = Fleet(subjects=(subject("p/it"), subject("q/it")))
    ports = fleet.ports()
    broken = ["subjects", "alive_at", "lead", "open_seats", "tell"]

    def breaking(name: str) -> Any:
        def call(*arguments: Any) -> Any:
            if name in broken:
                raise RuntimeError(f"{name} is broken")
            return getattr(ports, name)(*arguments)

        return call

    monitor = monitor_of(replace(ports, **{name: breaking(name) for name in broken}))
    monitor.start()
    while len(broken) > 1:
        await fleet.line.run(10)
        assert fleet.said[-1] == f"a round of health checks failed: RuntimeError('{broken[0]} is broken')"
        del broken[0]
    await fleet.line.run(2 * MINUTE)
    assert len(fleet.said) == 6, "each trouble once, and each verdict that could not be told"
    assert monitor.verdicts.of("p/it").verdict == "healthy"
    broken.clear()
    await fleet.line.run(10 * MINUTE)
    await monitor.stop()
    assert len(fleet.told) >= 2


async def test_a_probe_that_breaks_says_nothing_of_the_model_and_is_made_again() -> None:
    fleet = Fleet()

    def breaks(_: object) -> ProviderError:
        raise KeyError("a bug of ours")

    def raises(_: object) -> ProviderError:
        raise ProviderError(ErrorKind.SERVER_ERROR, "out of order")

    def is_cancelled(_: object) -> ProviderError:
        raise asyncio.CancelledError

    fleet.behaviour = {"p/bug": breaks, "q/raises": raises, "r/cancelled": is_cancelled}
    async with monitoring(fleet, *(subject(id) for id in fleet.behaviour)) as monitor:
        await fleet.line.run(HOUR)
        assert monitor.verdicts.of("p/bug").verdict == "unknown"
        assert monitor.verdicts.of("q/raises").verdict == "down"
        assert len(fleet.times("r/cancelled")) >= 10
    assert fleet.said[0] == "the probe of p/bug failed: KeyError('a bug of ours')"


async def test_a_probe_that_hangs_is_given_up_and_counts_as_a_failure() -> None:
    fleet = Fleet(subjects=(subject("p/it"),))

    async def hang(_: str) -> ProbeResult:
        await asyncio.Event().wait()
        raise AssertionError

    monitor = monitor_of(replace(fleet.ports(), probe=hang), probe_limit_s=0.01)
    found = await monitor.probe_all()
    assert found["p/it"] == ProbeResult("down", "no answer within 0.01 s")
    await monitor.probe_all()
    assert monitor.verdicts.of("p/it").verdict == "down"


async def test_stopping_leaves_no_task_behind() -> None:
    fleet = Fleet(latency_s=1000)
    before = asyncio.all_tasks()
    async with monitoring(fleet, *(subject(f"p{number}/it") for number in range(6))):
        await fleet.line.run(2 * MINUTE)
        assert len(asyncio.all_tasks() - before) == 5, "the loop and four probes"
    await until(lambda: asyncio.all_tasks() == before)
