"""The work of `quorum db`: the DSNs in use, and the state of the schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adapters.types import Secret
from router.stores import migrate
from router.stores.embedded.servers import postgres_dsn, redis_url
from router.stores.embedded.start import start_embedded
from router.stores.postgres import connect, translated


def addresses(database_url: Secret | None, redis_at: Secret | None, data_dir: Path) -> dict[str, str]:
    """`DATABASE_URL` and `REDIS_URL` for psql or a second replica; those of the embedded servers where none is set.

    Secrets stand in them in the clear: they are meant to be used.
    """
    return {
        "DATABASE_URL": database_url.reveal() if database_url else postgres_dsn(data_dir),
        "REDIS_URL": redis_at.reveal() if redis_at else redis_url(data_dir),
    }


async def migrations(database_url: Secret | None, data_dir: Path, *, apply: bool) -> list[dict[str, Any]]:
    """Every migration and its state, JSON-ready; with `apply`, pending ones are applied first.

    Starts the embedded Postgres for as long as it takes where no `database_url` is set. Raises `StoreError`.
    """
    embedded = await start_embedded(data_dir, postgres=database_url is None, redis=False)
    try:
        with translated():
            connection = await connect(database_url.reveal() if database_url else postgres_dsn(data_dir))
            try:
                if apply:
                    await migrate.migrate(connection)
                rows = await migrate.status(connection)
            finally:
                await connection.close()
    finally:
        await embedded.stop()
    return [
        {"version": row.version, "name": row.name, "state": row.state, "applied_at": row.applied_at} for row in rows
    ]
