"""A pool to a Postgres that may be away: operations are bounded, and a background task reconnects."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import asyncpg

from router.core.events import StoreChanged
from router.stores import migrate
from router.stores.errors import StoreDown, StoreError, StoreRefused

TIMEOUT_S = 5.0
_CHECK_TIMEOUT_S = 2.0
_MIGRATION_TIMEOUT_S = 60.0
_BACKOFF_S = (0.1, 5.0)  # the first pause and the longest
_CLOSE_TIMEOUT_S = 1.0
_MAX_CONNECTIONS = 4
# SQLSTATE classes that a retry cannot cure: data exception, constraint violation, program limit exceeded.
_REFUSED = ("22", "23", "54")
_SETTINGS = {
    "application_name": "quorum",
    "search_path": "quorum",
    "statement_timeout": "10s",  # ends a query that a killed daemon has left behind
    "lock_timeout": "4s",
    "timezone": "UTC",
}


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Translates every failure of the driver inside the block into `StoreDown` or `StoreRefused`."""
    try:
        yield
    except asyncpg.PostgresError as error:
        kind = StoreRefused if (error.sqlstate or "").startswith(_REFUSED) else StoreDown
        raise kind(f"Postgres: {_described(error)}") from error
    except TimeoutError:
        raise StoreDown("Postgres did not answer in time") from None
    except (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        raise StoreDown(f"Postgres: {_described(error)}") from error
    except (TypeError, ValueError, OverflowError, AttributeError) as error:  # the driver could not encode a value
        raise StoreRefused(f"a value does not fit its column: {_described(error)}") from error


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"


async def connect(dsn: str) -> asyncpg.Connection:
    """A connection outside any pool; raises `StoreDown` for a malformed DSN, else the driver's errors."""
    try:
        return await asyncpg.connect(dsn, timeout=_CHECK_TIMEOUT_S, server_settings=_SETTINGS)
    except ValueError:  # its message quotes parts of the DSN, and one of them may be the password
        raise StoreDown("DATABASE_URL is not a DSN: special characters in it must be percent-encoded") from None


class Postgres:
    """A small pool to one Postgres, which need not be up yet.

    `start` does not wait for the server: a keeper task connects in the background, migrates the schema on its first
    success, and calls `on_change` whenever the server goes or returns. While it is down, operations raise `StoreDown`
    at once.
    """

    def __init__(
        self,
        dsn: str,
        *,
        on_change: Callable[[StoreChanged], None] = lambda change: None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._dsn = dsn
        self._on_change = on_change
        self._timeout_s = timeout_s
        self._pool: asyncpg.Pool | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self._doubt = asyncio.Event()
        self._why = "Postgres is not connected yet"
        self._was_up: bool | None = None

    @property
    def up(self) -> bool:
        """Whether it is taken for up, so that operations are tried."""
        return self._up.is_set()

    @property
    def why(self) -> str:
        """The failure that took it down, as a sentence; empty while it is up."""
        return self._why

    async def start(self) -> None:
        """Starts the keeper task; returns at once."""
        self._pool = await asyncpg.create_pool(
            self._dsn, min_size=0, max_size=_MAX_CONNECTIONS, timeout=self._timeout_s, server_settings=_SETTINGS
        )
        self._keeper = asyncio.create_task(self._keep(), name="postgres-keeper")

    async def stop(self) -> None:
        """Stops the keeper and closes every connection; after a second those in use are cut."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        self._up.clear()
        if self._pool is not None:
            with contextlib.suppress(StoreDown), translated():
                async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                    await self._pool.close()
            self._pool.terminate()

    async def wait_up(self, timeout_s: float) -> bool:
        """Waits at most `timeout_s` for it to be up; returns whether it is."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._up.wait()
        return self.up

    @contextlib.asynccontextmanager
    async def connection(self, timeout_s: float | None = None) -> AsyncIterator[asyncpg.Connection]:
        """A connection for a block that must end within `timeout_s` (default: the pool's own timeout).

        Raises `StoreDown` or `StoreRefused` for what fails inside the block, the time-out included.
        """
        if self._pool is None or not self.up:
            raise StoreDown(self._why)
        try:
            with translated():
                async with asyncio.timeout(self._timeout_s if timeout_s is None else timeout_s):
                    async with _lent(self._pool) as connection:
                        yield connection
        except StoreDown:
            self._doubt.set()  # a slow statement alone is not an outage, so the keeper checks
            raise

    async def fetch(self, sql: str, *args: Any, timeout_s: float | None = None) -> list[asyncpg.Record]:
        """The rows of one statement; raises as `connection` does."""
        async with self.connection(timeout_s) as connection:
            return list(await connection.fetch(sql, *args))

    async def fetchval(self, sql: str, *args: Any, timeout_s: float | None = None) -> Any:
        """The first column of the first row, None without a row; raises as `connection` does."""
        async with self.connection(timeout_s) as connection:
            return await connection.fetchval(sql, *args)

    async def _keep(self) -> None:
        await self._until_connected(migrate_with_timeout_s=_MIGRATION_TIMEOUT_S)
        while True:
            self._set_state("")
            await self._doubt.wait()
            self._doubt.clear()
            await self._until_connected()

    async def _until_connected(self, migrate_with_timeout_s: float | None = None) -> None:
        pause_s, longest_s = _BACKOFF_S
        while True:
            try:
                return await self._check(migrate_with_timeout_s)
            except StoreError as error:
                self._set_state(str(error))
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, longest_s)

    async def _check(self, migrate_with_timeout_s: float | None) -> None:
        """One round trip on a connection of its own, since those of the pool may all be in use or dead."""
        with translated():
            async with asyncio.timeout(migrate_with_timeout_s or _CHECK_TIMEOUT_S):
                connection = await connect(self._dsn)
                try:
                    if migrate_with_timeout_s:
                        await migrate.migrate(connection)
                    await connection.execute("SELECT 1")
                    await connection.close()
                finally:
                    connection.terminate()

    def _set_state(self, why: str) -> None:
        before, self._was_up, self._why = self._was_up, not why, why
        if before is not self._was_up:
            self._up.clear() if why else self._up.set()
            self._on_change(StoreChanged("postgres", not why, why))


@contextlib.asynccontextmanager
async def _lent(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the pool; one cancelled in the middle of a statement is cut, since its state is unknown."""
    connection = await pool.acquire()
    try:
        yield connection
    except asyncio.CancelledError:
        connection.terminate()
        raise
    finally:
        await pool.release(connection)
