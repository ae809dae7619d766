"""The schema: applied once, by one daemon at a time, never from a file that was changed afterwards."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import date

import asyncpg
import pytest

from router.stores.errors import StoreRefused
from router.stores.migrate import Migration, load, migrate, status
from router.votelog.rows import TABLES

NAMES = [migration.name for migration in load()]


async def test_applies_everything_once(empty_pg_dsn: str) -> None:
    connection = await asyncpg.connect(empty_pg_dsn)
    assert {step.state for step in await status(connection)} == {"pending"}
    assert await migrate(connection) == NAMES
    assert await migrate(connection) == []
    steps = await status(connection)
    assert [step.name for step in steps] == NAMES
    assert all(step.state == "applied" and step.applied_at is not None for step in steps)
    await connection.close()


async def test_two_daemons_at_once_apply_each_step_once(empty_pg_dsn: str) -> None:
    connections = [await asyncpg.connect(empty_pg_dsn) for _ in range(4)]
    applied = await asyncio.gather(*(migrate(connection) for connection in connections))
    assert sorted(name for names in applied for name in names) == sorted(NAMES)
    for connection in connections:
        await connection.close()


async def test_a_changed_file_is_refused_by_name(pg_dsn: str) -> None:
    connection = await asyncpg.connect(pg_dsn)
    first, *others = load()
    changed = [dataclasses.replace(first, sql=first.sql + "-- and one more thing"), *others]
    with pytest.raises(StoreRefused, match=r"001_vote_log\.sql was changed after it had been applied"):
        await migrate(connection, changed)
    assert [step.state for step in await status(connection, changed)][:2] == ["changed", "applied"]
    await connection.close()


async def test_a_broken_step_leaves_nothing_of_itself(pg_dsn: str) -> None:
    connection = await asyncpg.connect(pg_dsn)
    broken = Migration(900, "broken", "CREATE TABLE quorum.half (); SELECT 1 / 0;")
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(connection, [broken])
    assert await connection.fetchval("SELECT to_regclass('quorum.half')") is None
    assert [step.state for step in await status(connection, [broken])] == ["pending"]
    await connection.close()


@pytest.mark.parametrize("table", list(TABLES.values()), ids=lambda table: table.name)
async def test_the_tables_have_exactly_the_columns_of_their_rows(pg_dsn: str, table: object) -> None:
    connection = await asyncpg.connect(pg_dsn)
    found = await connection.fetch(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'quorum' AND table_name = $1 "
        "ORDER BY ordinal_position",
        table.name,  # type: ignore[attr-defined]
    )
    assert tuple(row[0] for row in found) == table.columns  # type: ignore[attr-defined]
    await connection.close()


async def test_partitions_are_days_in_utc_whatever_the_zone_of_the_session(pg_dsn: str) -> None:
    connection = await asyncpg.connect(pg_dsn, server_settings={"timezone": "Pacific/Auckland"})
    for _ in range(2):  # the second time there is nothing to do
        await connection.execute("SELECT quorum.ensure_partitions($1)", [date(2026, 3, 29)])
    await connection.execute("SET timezone = 'UTC'")
    bounds = await connection.fetchval(
        "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid = 'quorum.votes_20260329'::regclass"
    )
    assert bounds == "FOR VALUES FROM ('2026-03-29 00:00:00+00') TO ('2026-03-30 00:00:00+00')"
    await connection.close()


async def test_partitions_made_by_many_at_once(pg_dsn: str) -> None:
    connections = [await asyncpg.connect(pg_dsn) for _ in range(6)]
    days = [date(2026, 1, day) for day in range(1, 4)]
    await asyncio.gather(
        *(connection.execute("SELECT quorum.ensure_partitions($1)", days) for connection in connections)
    )
    made = await connections[0].fetchval("SELECT count(*) FROM pg_inherits WHERE inhparent = 'quorum.votes'::regclass")
    assert made == 3
    for connection in connections:
        await connection.close()


async def test_a_running_report_does_not_block_a_new_partition(pg_dsn: str) -> None:
    report, writer = await asyncpg.connect(pg_dsn), await asyncpg.connect(pg_dsn)
    async with report.transaction():
        await report.fetch("SELECT * FROM quorum.v_votes")
        await writer.execute("SELECT quorum.ensure_partitions($1)", [date(2026, 2, 2)], timeout=30)
    assert await writer.fetchval("SELECT to_regclass('quorum.votes_20260202')") is not None
    await report.close()
    await writer.close()


async def test_every_table_and_view_has_a_comment(pg_dsn: str) -> None:
    connection = await asyncpg.connect(pg_dsn)
    silent = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'quorum'::regnamespace AND relkind IN ('r', 'p', 'v') "
        "AND obj_description(oid, 'pg_class') IS NULL"
    )
    assert [row[0] for row in silent] == []
    await connection.close()


async def test_the_analyst_reads_decisions_but_not_prompts(pg_dsn: str) -> None:
    connection = await asyncpg.connect(pg_dsn)
    await connection.execute("SET ROLE quorum_analyst")
    for view in ("v_votes", "v_requests", "v_providers_hourly", "v_disagreements", "registry_versions"):
        assert await connection.fetch(f"SELECT * FROM quorum.{view}") == []
    for forbidden in ("SELECT * FROM quorum.payloads", "DELETE FROM quorum.votes"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(forbidden)
    await connection.close()


async def test_a_user_who_may_not_make_roles_can_still_migrate(empty_pg_dsn: str) -> None:
    admin = await asyncpg.connect(empty_pg_dsn)
    await admin.execute("DROP ROLE IF EXISTS modest")
    await admin.execute("CREATE ROLE modest LOGIN; SELECT 1")
    database = await admin.fetchval("SELECT current_database()")
    await admin.execute(f"GRANT CREATE ON DATABASE {database} TO modest")
    modest = await asyncpg.connect(empty_pg_dsn.replace("quorum@", "modest@"))
    assert await migrate(modest) == NAMES
    await modest.close()
    await admin.execute("DROP OWNED BY modest CASCADE; DROP ROLE modest")
    await admin.close()
