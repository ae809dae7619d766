"""The Redis (or Valkey) that replicas share: a client with bounded calls, and whether the server answers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from router.core.events import StoreChanged
from router.stores.errors import StoreError

TIMEOUT_S = 0.25  # per call; a request waits for Redis before it is sent, so a slow Redis counts as one that is down
_MAX_CONNECTIONS = 64


def client(url: str, *, timeout_s: float = TIMEOUT_S) -> redis.asyncio.Redis:
    """A client that connects lazily and gives up after `timeout_s`. It never retries: a repeated call may count twice.

    Raises `StoreError` for a malformed URL.
    """
    try:
        return redis.asyncio.Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            max_connections=_MAX_CONNECTIONS,
        )
    except ValueError:  # its message may quote a part of the password
        raise StoreError(
            "REDIS_URL must be redis://, rediss:// or unix://, with special characters percent-encoded"
        ) from None


@asynccontextmanager
async def within(timeout_s: float) -> AsyncIterator[None]:
    """Bounds the calls to a client inside the block; raises `TimeoutError`.

    The client uses `asyncio.wait_for`, which in Python 3.11 may swallow a cancellation (python/cpython#86296). The
    block raises it again; otherwise a cancelled task would go on, and whoever awaits its end would wait for ever.
    """
    task = asyncio.current_task()
    assert task is not None
    cancelled = task.cancelling()
    try:
        async with asyncio.timeout(timeout_s):
            yield
    finally:
        if task.cancelling() > cancelled and not isinstance(sys.exception(), asyncio.CancelledError):
            raise asyncio.CancelledError


class Redis:
    """One Redis and whether it is up; `on_change` is called when that changes, and when it is first known."""

    def __init__(self, url: str, *, on_change: Callable[[StoreChanged], None] = lambda change: None) -> None:
        self.client = client(url)
        self._up: bool | None = None
        self._on_change = on_change

    @property
    def up(self) -> bool:
        """Whether the last call was answered; False before the first."""
        return bool(self._up)

    @property
    def why(self) -> str:
        """Why it counts as down, as a sentence; empty while it is up."""
        return "" if self._up else "Redis does not answer"

    def seen(self, up: bool) -> None:
        """Records whether a call was answered; code that uses `client` directly reports its failures here."""
        if up is not self._up:
            self._up = up
            self._on_change(StoreChanged("redis", up, self.why))

    async def ping(self) -> bool:
        """Pings the server, for at most twice the client's timeout; returns whether it answered."""
        try:
            async with within(2 * TIMEOUT_S):
                await self.client.ping()
        except (RedisError, OSError, TimeoutError):
            self.seen(False)
        else:
            self.seen(True)
        return self.up

    async def close(self) -> None:
        """Closes every connection."""
        await self.client.aclose()
