"""docs/vote-log.md is true: its queries run and find rows, and it names every table and kind of failure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from adapters.errors import ErrorKind
from router.core.clock import SYSTEM_CLOCK
from router.core.ids import new_id
from router.stores.postgres import Postgres
from router.votelog.rows import TABLES, RequestRow
from router.votelog.writer import VoteLog
from tests.support.paths import ROOT
from tests.votelog.conftest import vote

PAGE = (ROOT / "docs" / "vote-log.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"^(\S[^\n]*\?)\n\n```sql\n(.*?)```", PAGE, re.M | re.S)


@pytest.fixture
async def history(log: VoteLog) -> None:
    """A majority vote of an hour ago: two agreed, one did not, and one failed before."""
    request_id, then = new_id(SYSTEM_CLOCK), datetime.now(UTC) - timedelta(hours=1)
    for _ in range(2):
        for seq, (provider, agreed) in enumerate([("groq", True), ("xai", True), ("mistral", False)]):
            facts = {"counted": True, "agreed": agreed, "cost_usd": 0.001, "duration_ms": 120.0}
            log.append(vote(request_id=request_id, created_at=then, seq=seq, provider=provider, **facts))
    log.append(
        vote(request_id=request_id, created_at=then, seq=9, outcome="failed", error_type="timeout", cost_usd=0.0)
    )
    log.append(
        RequestRow(
            request_id=request_id,
            created_at=then,
            strategy="majority-vote",
            tier="cheap",
            outcome="ok",
            votes_planned=3,
        )
    )
    assert await log.flush(60)


def test_the_page_answers_five_questions() -> None:
    assert len(QUERIES) == 5


@pytest.mark.parametrize("question", [question for question, _ in QUERIES])
async def test_each_question_is_answered(question: str, postgres: Postgres, history: None) -> None:
    assert await postgres.fetch(dict(QUERIES)[question])


async def test_the_odd_one_out_is_found(postgres: Postgres, history: None) -> None:
    rows = await postgres.fetch(dict(QUERIES)["Which model is the odd one out when others agree?"])
    assert (rows[0]["provider"], int(rows[0]["dissent"])) == ("mistral", 1)


@pytest.mark.parametrize("name", [table.name for table in TABLES.values()] + [str(kind) for kind in ErrorKind])
def test_tables_and_kinds_of_failure_are_named(name: str) -> None:
    assert f"`{name}`" in PAGE
