"""Real stores for tests: one embedded Postgres and one Valkey per session, emptied for each test."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import asyncpg
import pytest
import redis.asyncio

from router.stores.embedded.start import Embedded, start_embedded
from router.stores.migrate import migrate

_TEMPLATE = "quorum_template"
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Stores:
    """Addresses of the session's servers."""

    postgres_dsn: str
    redis_url: str

    def database(self, name: str) -> str:
        """The DSN of another database on the same server."""
        return self.postgres_dsn.replace("/postgres?", f"/{name}?")


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """Both servers, started once; the databases of tests are copies of one that is migrated."""

    async def start() -> tuple[Embedded, Stores]:
        embedded = await start_embedded(tmp_path_factory.mktemp("stores"), postgres=True, redis=True)
        assert embedded.postgres_dsn is not None
        assert embedded.redis_url is not None
        stores = Stores(embedded.postgres_dsn, embedded.redis_url)
        await _execute(stores.postgres_dsn, f"CREATE DATABASE {_TEMPLATE}")
        template = await asyncpg.connect(stores.database(_TEMPLATE))
        await migrate(template)
        await template.close()
        return embedded, stores

    embedded, stores = asyncio.run(start())
    yield stores
    asyncio.run(embedded.stop())


@pytest.fixture
async def pg_dsn(stores: Stores) -> AsyncIterator[str]:
    """A migrated, empty database of the test's own."""
    async for dsn in _database(stores, _TEMPLATE):
        yield dsn


@pytest.fixture
async def empty_pg_dsn(stores: Stores) -> AsyncIterator[str]:
    """A database without anything in it."""
    async for dsn in _database(stores, "template0"):
        yield dsn


@pytest.fixture
async def redis_url(stores: Stores, patience: None) -> str:
    """The URL of an empty Valkey."""
    client = redis.asyncio.Redis.from_url(stores.redis_url)
    await client.flushall()
    await client.aclose()
    return stores.redis_url


async def _database(stores: Stores, template: str) -> AsyncIterator[str]:
    name = f"test_{next(_numbers)}"
    await _execute(stores.postgres_dsn, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    yield stores.database(name)
    await _execute(stores.postgres_dsn, f"DROP DATABASE {name} WITH (FORCE)")


async def _execute(dsn: str, sql: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(sql)
    await connection.close()
