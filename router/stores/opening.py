"""Opens both stores for the daemon: the configured servers, or embedded ones where no URL is set."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from adapters.types import Secret
from router.core.events import StoreChanged
from router.stores.embedded.servers import postgres_dsn, redis_url
from router.stores.embedded.start import start_embedded
from router.stores.errors import StoreError
from router.stores.postgres import Postgres
from router.stores.redis import Redis

_GRACE_S = 1.0  # how long the start waits for Postgres before it goes on without it
_PING_S = 1.0  # between two pings of Redis; each call also reports what it saw


@dataclass(frozen=True, slots=True)
class Stores:
    """The two stores; either may be down at any time, which its operations report."""

    postgres: Postgres
    redis: Redis

    def state(self) -> dict[str, dict[str, Any]]:
        """By store: whether it is `up`, and `why` not."""
        return {
            "postgres": {"up": self.postgres.up, "why": self.postgres.why},
            "redis": {"up": self.redis.up, "why": self.redis.why},
        }


@asynccontextmanager
async def open_stores(
    database_url: Secret | None, redis_at: Secret | None, data_dir: Path, publish: Callable[[StoreChanged], None]
) -> AsyncIterator[Stores]:
    """Opens both stores at once and keeps them under watch inside the block; `publish` hears when one goes or returns.

    A store that cannot be opened is published as down, never raised: the daemon also works without one.
    """
    async with AsyncExitStack() as stack:
        await asyncio.gather(
            _embedded(stack, data_dir, "postgres", database_url, publish),
            _embedded(stack, data_dir, "redis", redis_at, publish),
        )
        postgres = Postgres(database_url.reveal() if database_url else postgres_dsn(data_dir), on_change=publish)
        redis = Redis(redis_at.reveal() if redis_at else redis_url(data_dir), on_change=publish)
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
    stack: AsyncExitStack,
    data_dir: Path,
    store: Literal["postgres", "redis"],
    configured: Secret | None,
    publish: Callable[[StoreChanged], None],
) -> None:
    if configured is not None:
        return
    try:
        embedded = await start_embedded(data_dir, postgres=store == "postgres", redis=store == "redis")
    except StoreError as error:
        publish(StoreChanged(store, up=False, why=str(error)))
    else:
        stack.push_async_callback(embedded.stop)


async def _ping(redis: Redis) -> None:
    while True:
        await asyncio.sleep(_PING_S)
        await redis.ping()
