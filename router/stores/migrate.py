"""Migrates the schema `quorum`: numbered SQL files, each applied once, in its own transaction, by one daemon at a time.

An applied file must never change, comments included: its checksum is recorded. Corrections go into a new file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import asyncpg

from router.stores.errors import StoreRefused

SQL_DIR = Path(__file__).parent / "sql"
_LOCK_KEY = 0x51554F52554D  # "QUORUM" in ASCII; advisory locks are identified by numbers
_LEDGER = """
CREATE SCHEMA IF NOT EXISTS quorum;
CREATE TABLE IF NOT EXISTS quorum.schema_migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE quorum.schema_migrations IS 'The numbered SQL files that were applied, with their SHA-256.';
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One SQL file, `NNN_name.sql`; `version` is its number."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class MigrationState:
    """One migration's state in a database: `changed` means applied, from a file that has been edited since.

    `applied_at` is None while it is pending.
    """

    version: int
    name: str
    state: Literal["applied", "pending", "changed"]
    applied_at: datetime | None


def load(folder: Path = SQL_DIR) -> tuple[Migration, ...]:
    """The migrations in a folder, in the order of their versions."""
    return tuple(
        Migration(int(number), name, file.read_text(encoding="utf-8"))
        for file in sorted(folder.glob("[0-9]*_*.sql"))
        for number, _, name in [file.stem.partition("_")]
    )


async def migrate(connection: asyncpg.Connection, migrations: Sequence[Migration] | None = None) -> list[str]:
    """Applies pending migrations in order and returns their names; raises `StoreRefused` if an applied file changed."""
    wanted = load() if migrations is None else migrations
    return [migration.name for migration in wanted if await _apply(connection, migration)]


async def status(connection: asyncpg.Connection, migrations: Sequence[Migration] | None = None) -> list[MigrationState]:
    """Every migration's state. Changes nothing, and works on an empty database."""
    applied = await _applied(connection)
    return [
        MigrationState(
            migration.version,
            migration.name,
            _state(migration, applied),
            applied.get(migration.version, (None, None))[1],
        )
        for migration in (load() if migrations is None else migrations)
    ]


_Applied = dict[int, tuple[str, datetime]]
"""By version: the checksum of the file that was applied, and when."""


async def _applied(connection: asyncpg.Connection) -> _Applied:
    if await connection.fetchval("SELECT to_regclass('quorum.schema_migrations')") is None:
        return {}
    rows = await connection.fetch("SELECT version, checksum, applied_at FROM quorum.schema_migrations")
    return {row["version"]: (row["checksum"], row["applied_at"]) for row in rows}


def _state(migration: Migration, applied: _Applied) -> Literal["applied", "pending", "changed"]:
    if migration.version not in applied:
        return "pending"
    return "applied" if applied[migration.version][0] == migration.checksum else "changed"


async def _apply(connection: asyncpg.Connection, migration: Migration) -> bool:
    async with connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = 0; SET LOCAL client_min_messages = warning")
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK_KEY)
        await connection.execute(_LEDGER)
        state = _state(migration, await _applied(connection))
        if state == "changed":
            raise StoreRefused(
                f"migration {migration.version:03d}_{migration.name}.sql was changed after it had been applied: "
                "restore the file, and put the change into a new migration"
            )
        if state == "pending":
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO quorum.schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
                migration.version,
                migration.name,
                migration.checksum,
            )
        return state == "pending"
