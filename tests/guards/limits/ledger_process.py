"""One replica as a process, for tests of many: `python -m tests.guards.limits.ledger_process` and a job as JSON.

A job names the Redis, the limits of its seat, and either how many `calls` to try or for how long (`seconds`) to try
as often as anything is free. Lines on standard output: `ready`, then after a line on standard input one per admitted
call, with the moment (monotonic) at which it reached the provider and whether that is `sure`, then `done`.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from typing import Any, TypedDict

from router.core.block import Block
from router.core.registry import Seat
from router.guards.limits.ledger import Reservation
from tests.guards.limits.ledgers import Replica, replica, scaled, seat


class Job(TypedDict):
    """What one process is to do; a minute takes `minute_s`, and calls take up to `jitter_s` to the provider."""

    redis_url: str
    limits: list[str]
    calls: int
    seconds: float
    minute_s: float
    jitter_s: float
    at_once: int


async def main(job: Job) -> None:
    seats = [
        seat(limits, provider=f"acme{number}", on_store_down="closed") for number, limits in enumerate(job["limits"])
    ]
    async with replica(job["redis_url"], window=scaled(job["minute_s"])) as one:
        for each in seats:
            one.ledger.block(each)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        end = time.monotonic() + job["seconds"]
        calls = iter(range(job["calls"]))
        callers = [_caller(one, each, job, calls, end) for each in seats for _ in range(job["at_once"])]
        await asyncio.gather(*callers)
    print("done", flush=True)


async def _caller(one: Replica, seat: Seat, job: Job, calls: Any, end: float) -> None:
    for _ in calls:
        asked = time.monotonic()
        if asked > end:
            return
        while isinstance(given := await one.reserve(seat), Block) and not one.redis.up:
            await asyncio.sleep(0.05)  # a busy machine may take longer to answer than Redis is waited for
            await one.redis.ping()
            asked = time.monotonic()
        sent = time.monotonic()
        if isinstance(given, Reservation):
            # The whole way takes at most the jitter: from the moment it was granted, which lies between these two. If
            # they lie further apart, as on a busy machine, nobody knows when the call would have arrived.
            took_s = sent - asked
            arrives = sent + max(0.0, random.uniform(0, job["jitter_s"]) - took_s)
            how = "sure" if took_s <= job["jitter_s"] else "late"
            sys.stdout.write(f"{seat.provider.id} {arrives:.6f} {how}\n")
            sys.stdout.flush()
        elif job["jitter_s"] and given.until is not None:
            await asyncio.sleep(max(0.001, given.until - time.time()))


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
