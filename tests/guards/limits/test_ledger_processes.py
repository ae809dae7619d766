"""Several processes on one Valkey: together they never exceed a limit, as their provider counts, and they use it up."""

from __future__ import annotations

import asyncio
import json
import sys
from bisect import bisect_left
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

import pytest
import redis.asyncio

from tests.guards.limits.ledgers import UTC_DAY, replica, seat
from tests.support.paths import ROOT

pytestmark = pytest.mark.alone

LIMIT = f"requests: 10000, per: day, {UTC_DAY}"
USUAL = {"calls": 10**9, "seconds": 1e9, "minute_s": 60.0, "jitter_s": 0.0, "at_once": 16}
MINUTE_S, JITTER_S, SECONDS = 3.0, 0.1, 13.0


async def start(number: int, redis_url: str, **job: Any) -> list[asyncio.subprocess.Process]:
    """So many processes with the same job, all ready to begin."""
    pipe, text = asyncio.subprocess.PIPE, json.dumps(USUAL | job | {"redis_url": redis_url})
    command = (sys.executable, "-m", "tests.guards.limits.ledger_process", text)
    started = [await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe) for _ in range(number)]
    for process in started:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 60) == b"ready\n"
    return started


class Admitted(NamedTuple):
    """A call that was admitted: whose, when it reached its provider, and whether that is sure."""

    provider: str
    at: float
    sure: bool


async def run(process: asyncio.subprocess.Process) -> list[Admitted]:
    """Lets a process begin, and returns the calls it had admitted."""
    out, _ = await process.communicate(b"\n")
    lines = out.decode().splitlines()
    assert process.returncode or lines.pop() == "done"
    told = (line.split() for line in lines)
    return [Admitted(each[0], float(each[1]), each[2] == "sure") for each in told if len(each) == 3]


async def test_four_processes_admit_exactly_the_limit(redis_url: str) -> None:
    processes = await start(4, redis_url, limits=[LIMIT], calls=4000)
    admitted = [len(each) for each in await asyncio.gather(*map(run, processes))]
    assert sum(admitted) == 10_000
    assert min(admitted) > 0


async def test_a_process_killed_in_between_takes_nothing_with_it_and_leaves_nothing_behind(redis_url: str) -> None:
    processes = await start(4, redis_url, limits=[LIMIT], calls=4000)
    running = [asyncio.create_task(run(each)) for each in processes]
    async with replica(redis_url) as watcher:
        of_all = seat(LIMIT, provider="acme0")
        async with asyncio.timeout(60):
            while await watcher.looked(of_all, "requests/day") < 3000:
                await asyncio.sleep(0.01)
        processes[0].kill()
        told = sum(len(each) for each in await asyncio.gather(*running))
        # Only what was under way in the killed process is counted without having been told, and nothing twice.
        assert 10_000 - 16 <= told <= 10_000
        assert await watcher.looked(of_all, "requests/day") == 10_000


def worst(arrivals: Sequence[float], window_s: float) -> int:
    """The most arrivals in any window."""
    return max((bisect_left(arrivals, at + window_s) - place for place, at in enumerate(arrivals)), default=0)


@pytest.mark.timeout(300)
async def test_three_processes_keep_a_minute_as_the_provider_counts_it_and_use_it(redis_url: str) -> None:
    """A minute takes three seconds here, and the two seconds of jitter a tenth of one."""
    for _ in range(3):  # a machine that is busy with something else cannot use the limits up; it may be quiet once
        used = [share async for share in shares_used((10, 60, 600), redis_url)]
        if min(used) >= 0.93:
            break
    assert min(used) >= 0.93, used


async def shares_used(rates: Sequence[int], redis_url: str) -> AsyncIterator[float]:
    """Which share of each limit three processes use up, 1 for all of it; no limit may ever be exceeded."""
    client = redis.asyncio.Redis.from_url(redis_url)
    await client.flushall()
    await client.aclose()
    limits = [f"requests: {rate}, per: minute" for rate in rates]
    scale = {"minute_s": MINUTE_S, "jitter_s": JITTER_S, "seconds": SECONDS, "at_once": 2}
    processes = await start(3, redis_url, limits=limits, **scale)
    admitted = [call for calls in await asyncio.gather(*map(run, processes)) for call in calls]
    for number, rate in enumerate(rates):
        calls = [call for call in admitted if call.provider == f"acme{number}"]
        assert worst(sorted(call.at for call in calls if call.sure), MINUTE_S) <= rate
        arrivals = sorted(call.at for call in calls)
        bursts = (len(arrivals) - 1) // rate
        minutes = (arrivals[bursts * rate] - arrivals[0]) / MINUTE_S
        yield bursts / minutes if bursts >= 3 else 0.0
