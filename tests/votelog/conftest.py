"""A vote log on a database of the test's own, and rows to put into it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from router.core.clock import SYSTEM_CLOCK
from router.core.ids import new_id
from router.stores.postgres import Postgres
from router.votelog.dead_letter import DeadLetter
from router.votelog.rows import VoteRow
from router.votelog.writer import VoteLog

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def vote(**facts: Any) -> VoteRow:
    """A vote that differs from every other by its id, and otherwise by what is named."""
    usual: dict[str, Any] = {
        "vote_id": new_id(SYSTEM_CLOCK),
        "request_id": new_id(SYSTEM_CLOCK),
        "created_at": NOON,
        "seq": 0,
        "role": "answer",
        "provider": "groq",
        "model": "gpt-oss",
        "outcome": "ok",
    }
    return VoteRow(**usual | facts)


@pytest.fixture
async def postgres(pg_dsn: str) -> AsyncIterator[Postgres]:
    store = Postgres(pg_dsn)
    await store.start()
    assert await store.wait_up(30)
    yield store
    await store.stop()


@pytest.fixture
def said() -> list[str]:
    """What the vote log had to say."""
    return []


@pytest.fixture
async def log(postgres: Postgres, tmp_path: Path, said: list[str]) -> AsyncIterator[VoteLog]:
    vote_log = VoteLog(postgres, DeadLetter(tmp_path / "dead-letter.jsonl"), say=said.append)
    vote_log.start()
    yield vote_log
    await vote_log.stop()
    counts = vote_log.counts
    assert counts.appended == counts.committed + counts.pending + counts.dead + counts.lost
