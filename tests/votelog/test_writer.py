"""The vote log's writer: nothing blocks a caller, nothing is written twice, and every row is accounted for."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from router.core.clock import SYSTEM_CLOCK
from router.core.ids import new_id
from router.stores.embedded import servers
from router.stores.embedded.start import Embedded, postgres_dsn, start_embedded
from router.stores.postgres import Postgres
from router.votelog import writer
from router.votelog.dead_letter import DeadLetter
from router.votelog.rows import TABLES, PayloadRow, RegistryRow, RequestRow, Row, VoteRow
from router.votelog.writer import Counts, VoteLog
from tests.votelog.conftest import NOON, vote


async def stored(postgres: Postgres, table: str = "votes") -> int:
    count: int = await postgres.fetchval(f"SELECT count(*) FROM quorum.{table}")
    return count


def consistent(counts: Counts) -> bool:
    return counts.appended == counts.committed + counts.pending + counts.dead + counts.lost


async def test_ten_thousand_rows_arrive(log: VoteLog, postgres: Postgres) -> None:
    for seq in range(10_000):
        log.append(vote(seq=seq))
        assert seq % 1000 or consistent(log.counts)
    assert await log.flush(60)
    assert log.counts == Counts(appended=10_000, committed=10_000)
    assert await stored(postgres) == 10_000


async def test_every_column_comes_back_as_it_was_put_in(log: VoteLog, postgres: Postgres) -> None:
    ids = [new_id(SYSTEM_CLOCK) for _ in range(2)]
    row = vote(
        vote_id=ids[0],
        request_id=ids[1],
        weight=1.5,
        http_status=200,
        input_tokens=7,
        cost_usd=0.25,
        ballot={"order": ["B", "A"], "ranks": {"A": 1}},
        valid=True,
        answer_key="yes",
    )
    log.append(row)
    log.append(
        RequestRow(request_id=ids[1], created_at=NOON, rule={"kind": "majority"}, tags={"team": "x"}, stream=True)
    )
    log.append(PayloadRow(request_id=ids[1], vote_id=ids[0], created_at=NOON, direction="in", body=b"\0\xff"))
    log.append(RegistryRow(registry_hash="3f9c", loaded_at=NOON, document={"version": 1}, source="registry.yaml"))
    assert await log.flush(60)
    [found] = await postgres.fetch("SELECT * FROM quorum.votes")
    for column in ("weight", "http_status", "input_tokens", "cost_usd", "valid", "answer_key", "created_at", "agreed"):
        assert found[column] == getattr(row, column)
    assert (str(found["vote_id"]), json.loads(found["ballot"])) == (row.vote_id, row.ballot)
    assert await postgres.fetchval("SELECT rule ->> 'kind' FROM quorum.requests WHERE stream") == "majority"
    assert await postgres.fetchval("SELECT body FROM quorum.payloads") == b"\0\xff"
    assert await postgres.fetchval("SELECT document ->> 'version' FROM quorum.registry_versions") == "1"


async def test_the_same_rows_again_add_nothing(log: VoteLog, postgres: Postgres) -> None:
    rows = [vote(seq=seq) for seq in range(100)]
    payload = PayloadRow(request_id=rows[0].request_id, created_at=NOON, direction="out", body=b"hello")
    batch: list[Row] = [*rows, payload, payload, *rows]
    for row in batch:
        log.append(row)
    assert await log.flush(60)
    for row in rows:  # and in another
        log.append(row)
    assert await log.flush(60)
    assert await stored(postgres) == 100
    assert await stored(postgres, "payloads") == 1
    assert log.counts.committed == log.counts.appended == 302


async def test_rows_around_midnight_go_to_their_days_in_utc(log: VoteLog, postgres: Postgres) -> None:
    midnight = datetime(2026, 12, 31, 0, 0, tzinfo=UTC) + timedelta(days=1)
    log.append(vote(created_at=midnight - timedelta(microseconds=1)))
    log.append(vote(created_at=midnight))
    log.append(vote(created_at=datetime(2026, 12, 31, 20, 0, tzinfo=timezone(timedelta(hours=-8)))))
    assert await log.flush(60)
    days = await postgres.fetch("SELECT tableoid::regclass::text, count(*) FROM quorum.votes GROUP BY 1 ORDER BY 1")
    assert [tuple(day) for day in days] == [("votes_20261231", 1), ("votes_20270101", 2)]
    tomorrow = await postgres.fetchval("SELECT to_regclass('quorum.votes_20270102')::text")
    assert tomorrow == "votes_20270102"


async def test_what_providers_send_cannot_poison_a_batch(log: VoteLog, postgres: Postgres) -> None:
    nasty: list[dict[str, Any]] = [
        {"error_message": "nul \0 in it"},
        {"error_message": "x" * 10_000_000},
        {"response_model": "lone \udcff surrogate"},
        {"input_tokens": 1 << 63, "http_status": -(1 << 65)},
        {"cost_usd": float("nan"), "duration_ms": float("inf")},
        {"ballot": {"nul\0": "\ud800", "n": 1 << 99}},
    ]
    for facts in nasty:
        log.append(vote(**facts))
    assert await log.flush(60)
    assert log.counts == Counts(appended=6, committed=6)
    assert await postgres.fetchval("SELECT max(length(error_message)) FROM quorum.votes") == 500


async def test_a_row_of_the_wrong_kind_is_set_aside_and_the_others_arrive(
    log: VoteLog, postgres: Postgres, tmp_path: Path
) -> None:
    bad: list[dict[str, Any]] = [
        {"seq": "three"},
        {"vote_id": "no uuid"},
        {"role": None},
        {"created_at": "yesterday"},
        {"provider": 7},
    ]
    for facts in bad:
        for _ in range(30):
            log.append(vote())
        log.append(vote(**facts))
    assert await log.flush(60)
    assert log.counts == Counts(appended=155, committed=150, dead=5)
    assert await stored(postgres) == 150
    file = tmp_path / "dead-letter.jsonl"
    letters = [json.loads(line) for line in file.read_text().splitlines()]
    assert {letter["table"] for letter in letters} == {"votes"}
    assert sorted(str(letter["row"]["vote_id"]) for letter in letters).count("no uuid") == 1
    assert all(letter["error"] for letter in letters)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


WRONG = [object(), "x", 7, 0.5, b"x", [1], {"a": 1}, datetime.max.replace(tzinfo=UTC)]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda value: type(value).__name__)
async def test_no_value_in_any_column_stops_the_writer(log: VoteLog, postgres: Postgres, wrong: Any) -> None:
    columns = TABLES[VoteRow].columns
    for column in columns:
        log.append(vote(**{column: wrong}))
    log.append(RegistryRow(registry_hash="h", loaded_at=wrong, document=wrong))
    log.append(PayloadRow(request_id=new_id(SYSTEM_CLOCK), created_at=NOON, direction="in", body=wrong))
    log.append(vote())
    assert await log.flush(60)
    counts = log.counts
    assert counts.committed + counts.dead == counts.appended == len(columns) + 3
    assert await stored(postgres) >= 1


async def test_a_full_dead_letter_file_loses_the_row_and_says_so_in_the_counts(
    postgres: Postgres, tmp_path: Path
) -> None:
    log = VoteLog(postgres, DeadLetter(tmp_path / "dead.jsonl", max_bytes=10), say=lambda _: None)
    log.start()
    log.append(vote(vote_id="no uuid"))
    assert await log.flush(60)
    assert log.counts == Counts(appended=1, lost=1)
    await log.stop()


async def test_payload_bodies_stay_out_of_the_dead_letters(log: VoteLog, tmp_path: Path) -> None:
    log.append(PayloadRow(request_id="no uuid", created_at=NOON, direction="in", body=b"a secret prompt"))
    assert await log.flush(60)
    assert "15 bytes" in (tmp_path / "dead-letter.jsonl").read_text()
    assert "secret" not in (tmp_path / "dead-letter.jsonl").read_text()


async def test_without_postgres_rows_wait_up_to_the_bound_and_the_rest_is_lost_and_told_once(
    tmp_path: Path,
) -> None:
    said: list[str] = []
    store = Postgres(postgres_dsn(tmp_path))
    await store.start()
    log = VoteLog(store, DeadLetter(tmp_path / "dead.jsonl"), say=said.append)
    log.start()
    row = vote()
    began = time.process_time()
    for _ in range(writer.MAX_ROWS + 500):
        log.append(row)
    assert time.process_time() - began < 10
    assert log.counts == Counts(appended=20_500, pending=20_000, lost=500)
    assert not await log.flush(0.05)
    assert [line for line in said if "lost" in line] == [
        "the vote log has no more room (20000 rows wait): further rows are lost"
    ]
    assert not await log.drain(0.05)
    await store.stop()


async def test_payloads_are_bounded_by_their_bytes(log: VoteLog) -> None:
    ids = new_id(SYSTEM_CLOCK)
    for _ in range(5):  # all before the writer has its turn
        log.append(PayloadRow(request_id=ids, created_at=NOON, direction="in", body=bytes(20 << 20)))
    assert log.counts == Counts(appended=5, pending=3, lost=2)


@pytest.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[tuple[Postgres, Embedded]]:
    """A Postgres that the test may stop."""
    embedded = await start_embedded(tmp_path, postgres=True, redis=False)
    store = Postgres(postgres_dsn(tmp_path))
    await store.start()
    assert await store.wait_up(30)
    yield store, embedded
    await store.stop()
    await embedded.stop()


async def test_a_restart_of_postgres_loses_and_doubles_nothing(
    own_server: tuple[Postgres, Embedded], tmp_path: Path
) -> None:
    store, embedded = own_server
    said: list[str] = []
    log = VoteLog(store, DeadLetter(tmp_path / "dead.jsonl"), say=said.append)
    log.start()

    async def append(rows: int) -> None:
        for seq in range(rows):
            log.append(vote(seq=seq))
            if seq % 50 == 0:
                await asyncio.sleep(0)  # the writer's turn
                assert consistent(log.counts)

    await append(2_000)
    await asyncio.gather(append(3_000), embedded.stop())
    await append(1_000)
    assert not await log.flush(0.3)
    assert log.counts.pending > 0
    again = await start_embedded(tmp_path, postgres=True, redis=False)
    await append(1_000)
    assert await log.flush(60)
    assert log.counts == Counts(appended=7_000, committed=7_000)
    assert await stored(store) == 7_000
    assert len([line for line in said if "waits for Postgres" in line]) == 1
    assert len([line for line in said if "written again" in line]) == 1
    await log.stop()
    await again.stop()


async def test_a_silent_postgres_delays_nobody(own_server: tuple[Postgres, Embedded], tmp_path: Path) -> None:
    store, _ = own_server
    log = VoteLog(store, DeadLetter(tmp_path / "dead.jsonl"), say=lambda _: None)
    log.start()
    log.append(vote())
    assert await log.flush(60)
    pid = int(servers.postgres(tmp_path).pid_file.read_text().split()[0])
    frozen = [pid, *(int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    for process in frozen:
        os.kill(process, signal.SIGSTOP)
    try:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(1_000):
            log.append(vote())
        assert loop.time() - began < 2.0
        assert not await log.flush(0.3)
        assert loop.time() - began < 3.0
    finally:
        for process in frozen:
            os.kill(process, signal.SIGCONT)
    assert await log.flush(60)
    assert log.counts == Counts(appended=1_001, committed=1_001)
    assert await stored(store) == 1_001
    await log.stop()


async def test_a_locked_table_delays_the_writer_but_not_the_other_callers(
    log: VoteLog, postgres: Postgres, pg_dsn: str
) -> None:
    log.append(vote())
    assert await log.flush(60)
    other = await asyncpg.connect(pg_dsn)
    async with other.transaction():
        await other.execute("LOCK TABLE quorum.votes IN ACCESS EXCLUSIVE MODE")
        log.append(vote())
        assert not await log.flush(0.2)
        assert await postgres.fetchval("SELECT 1", timeout_s=3) == 1
        assert log.counts.pending == 1
    assert await log.flush(60)
    assert await stored(postgres) == 2
    await other.close()


async def test_drain_ships_what_is_there_and_then_stops(postgres: Postgres, tmp_path: Path) -> None:
    log = VoteLog(postgres, DeadLetter(tmp_path / "dead.jsonl"), say=lambda _: None)
    log.start()
    for _ in range(1_234):
        log.append(vote())
    assert await log.drain(60)
    assert log.counts == Counts(appended=1_234, committed=1_234)
    assert await stored(postgres) == 1_234
    log.append(vote())
    assert log.counts.pending == 1


async def test_one_row_alone_does_not_wait_for_company(log: VoteLog, postgres: Postgres) -> None:
    log.append(vote())
    async with asyncio.timeout(30):
        while await stored(postgres) != 1 or log.counts.pending:  # Postgres may show it a moment before we hear so
            await asyncio.sleep(0.005)
    assert log.counts == Counts(appended=1, committed=1)
