"""The Redis client: connects lazily, bounds every call, and reports whether the server answers."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from router.core.events import StoreChanged
from router.stores.errors import StoreError
from router.stores.redis import TIMEOUT_S, Redis


async def test_reports_once_that_it_is_up(redis_url: str) -> None:
    told: list[StoreChanged] = []
    store = Redis(redis_url, on_change=told.append)
    assert not store.up
    assert await store.ping()
    assert await store.ping()
    assert told == [StoreChanged("redis", up=True)]
    assert store.why == ""
    await store.close()


async def test_an_unreachable_server_is_down_and_not_an_exception(tmp_path: Path) -> None:
    told: list[StoreChanged] = []
    store = Redis(f"unix://{tmp_path}/nobody.sock", on_change=told.append)
    assert not await store.ping()
    assert not await store.ping()
    assert told == [StoreChanged("redis", up=False, why=store.why)]
    assert store.why
    await store.close()


async def test_a_silent_server_costs_a_quarter_of_a_second_and_no_more(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(silent, tmp_path / "silent.sock")
    store = Redis(f"unix://{tmp_path}/silent.sock")
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(RedisError):
        await store.client.get("x")
    assert loop.time() - began < 3 * TIMEOUT_S
    assert not await store.ping()
    assert loop.time() - began < 6 * TIMEOUT_S
    await store.close()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("url", ["redis://:pa/ss@host:6379", "postgresql://host/0", "nonsense"])
def test_a_malformed_url_is_refused_without_the_password(url: str) -> None:
    with pytest.raises(StoreError, match="REDIS_URL must be redis://") as refused:
        Redis(url)
    assert "pa/ss" not in str(refused.value)
    assert refused.value.__cause__ is None
