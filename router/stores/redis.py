"""The Redis (or Valkey) that replicas share: a client that never hangs, and whether it answers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from router.stores.errors import StoreError

TIMEOUT_S = 0.25
_MAX_CONNECTIONS = 64


def client(url: str, *, timeout_s: float = TIMEOUT_S) -> redis.asyncio.Redis:
    """A client that connects lazily, gives up after `timeout_s` and never retries: a repeated call may count twice.

    Raises `StoreError` for an address that is none.
    """
    try:
        return redis.asyncio.Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            max_connections=_MAX_CONNECTIONS,
        )
    except ValueError:  # its message may quote a piece of the password
        raise StoreError(
            "REDIS_URL must be redis://, rediss:// or unix://, with special characters percent-encoded"
        ) from None


@asynccontextmanager
async def within(timeout_s: float) -> AsyncIterator[None]:
    """Bounds what is asked of a client inside the block; raises `TimeoutError`.

    The client sends by `asyncio.wait_for`, which in Python 3.11 may swallow a cancellation: it is made good here, or
    whoever cancels a task that asks Redis would wait for it for ever.
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
    """One Redis and whether it is up; `on_change(up)` is called when that changes, and first when it is known."""

    def __init__(self, url: str, *, on_change: Callable[[bool], None] = lambda up: None) -> None:
        self.client = client(url)
        self._up: bool | None = None
        self._on_change = on_change

    @property
    def up(self) -> bool:
        """Whether the last call was answered."""
        return bool(self._up)

    def seen(self, up: bool) -> None:
        """Takes note of how a call went; users of `client` tell it their failures."""
        if up is not self._up:
            self._up = up
            self._on_change(up)

    async def ping(self) -> bool:
        """Asks the server whether it is there, for at most twice the client's timeout."""
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
