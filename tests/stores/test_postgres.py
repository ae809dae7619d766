"""A Postgres that comes, goes, hangs and rejects values: what its callers see, and how long they wait."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from router.core.events import StoreChanged
from router.stores.embedded import servers
from router.stores.embedded.start import postgres_dsn, start_embedded
from router.stores.errors import StoreDown, StoreRefused
from router.stores.postgres import Postgres


@pytest.fixture
async def postgres(pg_dsn: str) -> AsyncIterator[Postgres]:
    store = Postgres(pg_dsn, timeout_s=30)
    await store.start()
    assert await store.wait_up(30)
    yield store
    await store.stop()


async def test_the_first_connection_migrates(empty_pg_dsn: str) -> None:
    store = Postgres(empty_pg_dsn)
    await store.start()
    assert await store.wait_up(60)
    assert await store.fetchval("SELECT count(*) FROM votes") == 0  # found by the search path
    await store.stop()


async def test_it_may_be_away_at_the_start_and_come_and_go(tmp_path: Path) -> None:
    told: list[StoreChanged] = []
    store = Postgres(postgres_dsn(tmp_path), on_change=told.append)
    await store.start()
    assert not await store.wait_up(0.05)
    with pytest.raises(StoreDown):
        await store.fetchval("SELECT 1")

    for _ in range(2):
        embedded = await start_embedded(tmp_path, postgres=True, redis=False)
        assert await store.wait_up(60)
        assert await store.fetchval("SELECT 1") == 1
        await embedded.stop()
        with pytest.raises(StoreDown):
            await store.fetchval("SELECT 1")
        async with asyncio.timeout(30):
            while store.up:
                await asyncio.sleep(0.01)
        with pytest.raises(StoreDown, match="Postgres"):
            await store.fetchval("SELECT 1")
    await store.stop()
    assert {change.store for change in told} == {"postgres"}
    assert [change.up for change in told] == [False, True, False, True, False]
    assert all(bool(change.why) is not change.up for change in told)


async def test_values_that_can_never_be_stored_are_refused_without_an_outage(postgres: Postgres) -> None:
    for sql, value in (("SELECT $1::text", "\0"), ("SELECT $1::int", 1 << 40), ("SELECT 1 / $1::int", 0)):
        with pytest.raises(StoreRefused):
            await postgres.fetchval(sql, value)
    assert postgres.up


async def test_a_slow_statement_times_out_and_is_no_outage(postgres: Postgres) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(StoreDown, match="in time"):
        await postgres.fetchval("SELECT pg_sleep(30)", timeout_s=0.2)
    assert loop.time() - began < 3.0
    assert await postgres.fetchval("SELECT 1") == 1
    assert postgres.up


async def test_a_silent_server_never_costs_more_than_the_timeout(tmp_path: Path) -> None:
    embedded = await start_embedded(tmp_path, postgres=True, redis=False)
    store = Postgres(postgres_dsn(tmp_path), timeout_s=0.5)
    await store.start()
    assert await store.wait_up(30)
    await until_it_answers(store)
    pid = int(servers.postgres(tmp_path).pid_file.read_text().split()[0])
    backends = [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    for process in (pid, *backends):
        os.kill(process, signal.SIGSTOP)
    try:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(3):
            with pytest.raises(StoreDown):
                await store.fetchval("SELECT 1")
        assert loop.time() - began < 4.0
    finally:
        for process in (*backends, pid):
            os.kill(process, signal.SIGCONT)
    await until_it_answers(store)
    await store.stop()
    await embedded.stop()


async def until_it_answers(store: Postgres) -> None:
    async with asyncio.timeout(60):
        while not (store.up and await succeeds(store)):
            await asyncio.sleep(0.02)


async def succeeds(store: Postgres) -> bool:
    try:
        return bool(await store.fetchval("SELECT true"))
    except StoreDown:
        return False


async def test_many_callers_share_few_connections(postgres: Postgres, pg_dsn: str) -> None:
    calls = (
        postgres.fetchval("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'quorum'") for _ in range(40)
    )
    assert max(await asyncio.gather(*calls)) <= 4


@pytest.mark.parametrize("dsn", ["postgresql://user:pa/ss@host/db", "mysql://user:secret@host/db", "nonsense"])
async def test_a_malformed_dsn_is_reported_without_the_password(dsn: str) -> None:
    store = Postgres(dsn)
    await store.start()
    assert not await store.wait_up(0.2)
    assert "DATABASE_URL is not a DSN" in store.why
    assert not any(piece in store.why for piece in ("'pa'", "ss@host", "secret"))
    await store.stop()
