"""Both stores as the daemon uses them: configured ones, or embedded servers where no URL is set."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from adapters.types import Secret
from router.stores.embedded.servers import postgres_dsn, redis_url
from router.stores.embedded.start import start_embedded
from router.stores.errors import StoreError
from router.stores.postgres import Postgres
from router.stores.redis import Redis

_GRACE_S = 1.0  # how long opening waits for Postgres to answer before it goes on without
_PING_S = 1.0

OnChange = Callable[[str, bool, str], None]
"""(store, whether it is up, why not)"""


@dataclass(frozen=True, slots=True)
class Stores:
    """The two stores; either may be away at any time."""

    postgres: Postgres
    redis: Redis

    def state(self) -> dict[str, dict[str, Any]]:
        """Per store whether it is up, and if not why."""
        return {
            "postgres": {"up": self.postgres.up, "why": self.postgres.why},
            "redis": {"up": self.redis.up, "why": "" if self.redis.up else "Redis does not answer"},
        }


@asynccontextmanager
async def open_stores(
    database_url: Secret | None, redis_at: Secret | None, data_dir: Path, on_change: OnChange
) -> AsyncIterator[Stores]:
    """Opens both at once and keeps watch over them. A store that cannot be had is reported as down, never raised."""
    async with AsyncExitStack() as stack:
        await asyncio.gather(
            _embedded(stack, data_dir, "postgres", database_url, on_change),
            _embedded(stack, data_dir, "redis", redis_at, on_change),
        )
        postgres = Postgres(
            database_url.reveal() if database_url else postgres_dsn(data_dir), on_change=partial(on_change, "postgres")
        )
        redis = Redis(
            redis_at.reveal() if redis_at else redis_url(data_dir),
            on_change=lambda up: on_change("redis", up, "" if up else "Redis does not answer"),
        )
        await postgres.start()
        stack.push_async_callback(postgres.stop)
        stack.push_async_callback(redis.close)
        await asyncio.gather(postgres.wait_up(_GRACE_S), redis.ping())
        pinging = asyncio.create_task(_ping(redis), name="redis-ping")
        try:
            yield Stores(postgres, redis)
        finally:
            pinging.cancel()
            await asyncio.wait([pinging])


async def _embedded(
    stack: AsyncExitStack, data_dir: Path, store: str, configured: Secret | None, on_change: OnChange
) -> None:
    if configured is not None:
        return
    try:
        embedded = await start_embedded(data_dir, postgres=store == "postgres", redis=store == "redis")
    except StoreError as error:
        on_change(store, False, str(error))
    else:
        stack.push_async_callback(embedded.stop)


async def _ping(redis: Redis) -> None:
    while True:
        await asyncio.sleep(_PING_S)
        await redis.ping()
