"""Several processes on one Valkey: together they never exceed a limit, as their provider counts, and they use it up."""

from __future__ import annotations

import asyncio
import json
import sys
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.guards.ledgers import UTC_DAY, replica, seat

ROOT = Path(__file__).parents[2]
LIMIT = f"requests: 10000, per: day, {UTC_DAY}"
USUAL = {"calls": 10**9, "seconds": 1e9, "minute_s": 60.0, "jitter_s": 0.0, "at_once": 16}
MINUTE_S, JITTER_S, SECONDS = 3.0, 0.1, 13.0


async def start(number: int, redis_url: str, **job: Any) -> list[asyncio.subprocess.Process]:
    """So many processes with the same job, all ready to begin."""
    pipe, text = asyncio.subprocess.PIPE, json.dumps(USUAL | job | {"redis_url": redis_url})
    command = (sys.executable, "-m", "tests.guards.ledger_process", text)
    started = [await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe) for _ in range(number)]
    for process in started:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 30) == b"ready\n"
    return started


async def run(process: asyncio.subprocess.Process) -> list[tuple[str, float]]:
    """Lets a process begin, and returns the calls it had admitted: whose, and when they reached their provider."""
    out, _ = await process.communicate(b"\n")
    lines = out.decode().splitlines()
    assert process.returncode or lines.pop() == "done"
    return [(provider, float(at)) for provider, at in (line.split() for line in lines if line.count(".") == 1)]


async def test_four_processes_admit_exactly_the_limit(redis_url: str) -> None:
    processes = await start(4, redis_url, limits=[LIMIT], calls=4000)
    admitted = [len(each) for each in await asyncio.gather(*map(run, processes))]
    assert sum(admitted) == 10_000
    assert min(admitted) > 1000


async def test_a_process_killed_in_between_takes_nothing_with_it_and_leaves_nothing_behind(redis_url: str) -> None:
    processes = await start(4, redis_url, limits=[LIMIT], calls=4000)
    running = [asyncio.create_task(run(each)) for each in processes]
    async with replica(redis_url) as watcher:
        of_all = seat(LIMIT, provider="acme0")
        async with asyncio.timeout(30):
            while await watcher.looked(of_all, "requests/day") < 3000:
                await asyncio.sleep(0.01)
        processes[0].kill()
        told = sum(len(each) for each in await asyncio.gather(*running))
        # Only what was under way in the killed process is counted without having been told, and nothing twice.
        assert 10_000 - 16 <= told <= 10_000
        assert await watcher.looked(of_all, "requests/day") == 10_000


def worst(arrivals: Sequence[float], window_s: float) -> int:
    """The most arrivals in any window."""
    return max(bisect_left(arrivals, at + window_s) - place for place, at in enumerate(arrivals))


@pytest.mark.timeout(90)
async def test_three_processes_keep_a_minute_as_the_provider_counts_it_and_use_it(redis_url: str) -> None:
    """A minute takes three seconds here, and the two seconds of jitter a tenth of one."""
    rates = (10, 60, 600)
    limits = [f"requests: {rate}, per: minute" for rate in rates]
    scale = {"minute_s": MINUTE_S, "jitter_s": JITTER_S, "seconds": SECONDS, "at_once": 2}
    processes = await start(3, redis_url, limits=limits, **scale)
    admitted = [call for calls in await asyncio.gather(*map(run, processes)) for call in calls]
    for number, rate in enumerate(rates):
        arrivals = sorted(at for provider, at in admitted if provider == f"acme{number}")
        assert worst(arrivals, MINUTE_S) <= rate
        bursts = (len(arrivals) - 1) // rate
        minutes = (arrivals[bursts * rate] - arrivals[0]) / MINUTE_S
        assert bursts >= 3
        assert bursts * rate / minutes >= 0.93 * rate
