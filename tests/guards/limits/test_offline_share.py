"""A Redis that dies, hangs, loses its answers or comes back empty: nobody waits, nothing is given away twice."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from adapters.types import LimitSeen, Usage
from router.guards.limits.counters import Need, counters_of
from router.guards.limits.offline_share import share_of
from router.stores.embedded import servers
from router.stores.embedded.start import Embedded, redis_url, start_embedded
from router.stores.redis import TIMEOUT_S
from tests.guards.limits.ledgers import UTC_DAY, Replica, replica, seat
from tests.support.rim import LIMIT_S, until

DAY = seat(f"requests: 50, per: day, {UTC_DAY}")
CLOSED = seat(f"requests: 50, per: day, {UTC_DAY}", on_store_down="closed")
MINUTE = seat("requests: 30, per: minute")


@dataclass
class Server:
    """A Valkey of the test's own, which is treated badly."""

    data_dir: Path
    embedded: Embedded

    @property
    def url(self) -> str:
        return redis_url(self.data_dir)

    def signal(self, sign: signal.Signals) -> None:
        os.kill(int(servers.valkey(self.data_dir).pid_file.read_text()), sign)

    async def kill(self) -> None:
        self.signal(signal.SIGKILL)
        await self.embedded.stop()

    async def start(self, *, empty: bool = False) -> None:
        if empty:
            shutil.rmtree(servers.valkey(self.data_dir).folder)
        self.embedded = await start_embedded(self.data_dir, postgres=False, redis=True)


@pytest.fixture
async def server(tmp_path: Path, patience: None) -> AsyncIterator[Server]:
    own = Server(tmp_path, await start_embedded(tmp_path, postgres=False, redis=True))
    yield own
    await own.embedded.stop()


async def back(one: Replica) -> None:
    """Redis is found again, and told everything."""
    async with asyncio.timeout(LIMIT_S):
        while not await one.redis.ping():
            await asyncio.sleep(0.01)
    await until(lambda: not one.ledger.degraded)


# --- away ------------------------------------------------------------------------------------------------------------


async def test_a_server_killed_and_started_empty_gives_nothing_away(server: Server) -> None:
    async with replica(server.url) as one:
        assert await one.admitted(DAY, 20) == 20
        await server.kill()
        assert await one.admitted(DAY, 40) == 15  # half of the thirty that are left
        assert (one.ledger.degraded, one.ledger.local_grants) == (True, 15)
        block = await one.refused(DAY)
        assert block.reason.startswith("this replica's share of 50 requests a day is used")
        assert block.until == pytest.approx(time.time() + 1, abs=30)
        await server.start(empty=True)
        await back(one)
        assert await one.admitted(DAY, 40) == 15
        assert await one.looked(DAY, "requests/day") == 50
        assert one.faults == [
            "the limits of acme are no longer shared between replicas: Redis is away",
            "the limits of acme are shared between replicas again",
        ]


async def test_what_was_given_meanwhile_is_added_to_what_redis_still_knows(server: Server) -> None:
    async with replica(server.url) as one, replica(server.url) as other:
        assert await one.admitted(DAY, 10) == 10
        assert await other.admitted(DAY, 10) == 10
        await server.kill()
        assert await one.admitted(DAY, 5) == 5
        assert await other.admitted(DAY, 5) == 5
        await server.start()
        await back(one)
        await back(other)
        assert await one.looked(DAY, "requests/day") == 30
        assert await one.admitted(DAY, 40) == 20


async def test_a_closed_provider_stays_closed_without_redis(server: Server) -> None:
    async with replica(server.url) as one:
        await one.granted(CLOSED)
        await server.kill()
        block = await one.refused(CLOSED)
        assert (block.state, block.reason) == (
            "limited",
            "closed while Redis is away, since limits cannot be shared (on_store_down)",
        )
        assert block.until == pytest.approx(time.time() + 1, abs=30)
        planned = one.ledger.block(CLOSED)
        assert planned is not None
        assert planned.reason == block.reason
        assert one.ledger.local_grants == 0


@pytest.mark.parametrize("patience_s", [None])
async def test_a_silent_server_is_asked_once_and_then_left_alone(server: Server) -> None:
    async with replica(server.url) as one:
        await one.granted(DAY)
        loop = asyncio.get_running_loop()
        server.signal(signal.SIGSTOP)
        try:
            began = loop.time()
            first = await asyncio.gather(*(one.granted(DAY) for _ in range(5)))
            assert loop.time() - began < 2 * TIMEOUT_S
            began = loop.time()
            for _ in range(10):
                assert (await one.granted(DAY)).offline
            assert loop.time() - began < TIMEOUT_S
            assert all(reservation.offline for reservation in first)
        finally:
            server.signal(signal.SIGCONT)
        await back(one)
        # The five were executed by the server when it went on, and taken back: they count once, as local ones.
        await one.comes_to(DAY, "requests/day", 16)


@pytest.mark.parametrize("patience_s", [None])
@pytest.mark.parametrize("turns", [4, 8])
def test_a_process_that_stood_still_while_many_asked_gives_nothing_away_twice(redis_url: str, turns: int) -> None:
    """When it goes on it has waited too long for Redis, whose answers are all there as well."""

    async def scenario() -> int:
        async with replica(redis_url) as one:
            asking = asyncio.create_task(one.admitted(MINUTE, 40, at_once=40))
            for _ in range(turns):
                await asyncio.sleep(0)
            time.sleep(2 * TIMEOUT_S)  # on a loop whose clock does not wait for it
            return await asking

    assert asyncio.run(scenario()) <= 30


async def test_a_process_that_starts_without_redis_asks_the_vote_log(tmp_path: Path) -> None:
    async with replica(f"unix://{tmp_path}/nobody.sock") as one:
        for _ in range(40):
            one.log.sent(datetime.now(UTC))
        assert await one.admitted(DAY, 20) == 5
        assert one.log.asked == 1
        assert not await one.redis.ping()


# --- the share -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "spent", "replicas", "share"),
    [
        ("requests: 100, per: day", 0, 1, 50),
        ("requests: 100, per: day", 40, 3, 10),
        ("requests: 100, per: month", 99, 1, 0),
        ("requests: 100, per: day", 120, 1, 0),
        ("requests: 30, per: minute", 0, 1, 24),
        ("requests: 30, per: minute", 0, 7, 3),
        ("requests: 30, per: minute", 0, 0, 24),
    ],
)
def test_a_share_is_a_careful_part_of_what_is_left(limit: str, spent: int, replicas: int, share: int) -> None:
    (counter,) = counters_of(seat(limit))
    assert share_of(counter, spent, replicas) == share


async def test_all_shares_together_never_exceed_the_limit(server: Server) -> None:
    one_of_three = partial(replica, server.url, replicas=3)
    async with one_of_three() as a, one_of_three() as b, one_of_three() as c:
        before = sum([await each.admitted(DAY, 8) for each in (a, b, c)])
        for each in (a, b, c):
            await each.ledger.look([DAY])
        await server.kill()
        meanwhile = sum([await each.admitted(DAY, 50) for each in (a, b, c)])
        await server.start(empty=True)
        for each in (a, b, c):
            await back(each)
        after = sum([await each.admitted(DAY, 50) for each in (a, b, c)])
        assert (before, meanwhile) == (24, 12)
        assert before + meanwhile + after <= 50


async def test_a_share_of_a_minute_is_half_a_burst_and_the_rest_follows_evenly(tmp_path: Path) -> None:
    async with replica(f"unix://{tmp_path}/nobody.sock") as one:
        assert await one.admitted(MINUTE, 40) == 12
    async with replica(f"unix://{tmp_path}/nobody.sock", replicas=30) as one:
        assert await one.admitted(MINUTE, 40) == 0


async def test_headers_lower_the_share_and_what_was_not_sent_comes_back_to_it(tmp_path: Path) -> None:
    async with replica(f"unix://{tmp_path}/nobody.sock") as one:
        one.settle(await one.granted(DAY), sent=False)
        one.settle(await one.granted(DAY), seen=(LimitSeen("requests", "day", remaining=11),))
        assert await one.admitted(DAY, 50) == 5  # half of the eleven and the one, which was given
        tokens = seat(f"tokens: 1000, per: day, {UTC_DAY}")
        one.settle(await one.granted(tokens, Need(500, 0)), usage=Usage(5, output_tokens=5))
        await one.granted(tokens, Need(490, 0))


# --- answers that are lost -------------------------------------------------------------------------------------------


@asynccontextmanager
async def losing_answers(to: Path, at: Path) -> AsyncIterator[asyncio.Event]:
    """A proxy that, each time the event is set, lets one request through and cuts the connection for its answer."""
    lose = asyncio.Event()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, before = await asyncio.open_unix_connection(to)
        try:
            while asked := await reader.read(65536):
                before.write(asked)
                answered = await behind.read(65536)
                if lose.is_set() and b"EVALSHA" in asked:
                    lose.clear()
                    break
                writer.write(answered)
        finally:
            before.close()
            writer.close()

    proxy = await asyncio.start_unix_server(pass_on, at)
    try:
        yield lose
    finally:
        proxy.close()


async def test_a_call_whose_answer_was_lost_is_asked_again_and_counts_once(server: Server, tmp_path: Path) -> None:
    socket = servers.valkey(server.data_dir).socket
    async with losing_answers(socket, tmp_path / "proxy") as lose, replica(f"unix://{tmp_path}/proxy") as one:
        await one.granted(DAY)
        for _ in range(3):
            lose.set()
            assert not (await one.granted(DAY)).offline
            assert not lose.is_set()
        lose.set()
        one.settle(await one.granted(DAY, rid="unsent"), sent=False)
        await one.comes_to(DAY, "requests/day", 4)
        assert one.faults == []
        await one.redis.client.aclose()
