"""The daemon's own queries of the vote log."""

from __future__ import annotations

from datetime import timedelta

import orjson

from router.core.clock import SYSTEM_CLOCK
from router.core.ids import new_id
from router.stores.postgres import Postgres
from router.votelog.queries import get_request, recent_votes
from router.votelog.rows import RequestRow
from router.votelog.writer import VoteLog
from tests.votelog.conftest import NOON, vote


async def test_a_request_comes_with_its_votes_in_order(log: VoteLog, postgres: Postgres) -> None:
    request_id = new_id(SYSTEM_CLOCK)
    for seq in (2, 0, 1):
        log.append(vote(request_id=request_id, seq=seq, ballot={"rank": seq}))
    log.append(vote())  # of another request
    log.append(RequestRow(request_id=request_id, created_at=NOON, strategy="council", excluded={"a/b": "cooldown"}))
    assert await log.flush(60)
    found = await get_request(postgres, request_id)
    assert found is not None
    assert (found["request_id"], found["strategy"], found["excluded"]) == (request_id, "council", {"a/b": "cooldown"})
    assert found["created_at"] == "2026-11-21T12:00:00+00:00"
    assert [(row["seq"], row["ballot"]) for row in found["votes"]] == [
        (0, {"rank": 0}),
        (1, {"rank": 1}),
        (2, {"rank": 2}),
    ]
    assert orjson.loads(orjson.dumps(found)) == found


async def test_a_request_without_votes_has_none(log: VoteLog, postgres: Postgres) -> None:
    request_id = new_id(SYSTEM_CLOCK)
    log.append(RequestRow(request_id=request_id, created_at=NOON))
    assert await log.flush(60)
    found = await get_request(postgres, request_id)
    assert found is not None
    assert found["votes"] == []


async def test_an_unknown_id_or_one_that_is_no_uuid_gives_none(postgres: Postgres) -> None:
    assert await get_request(postgres, new_id(SYSTEM_CLOCK)) is None
    for text in ("", "42", "'; DROP TABLE quorum.votes; --", "\0"):
        assert await get_request(postgres, text) is None
        assert await recent_votes(postgres, since=NOON, request_id=text) == []


async def test_recent_votes_are_filtered_newest_first_and_bounded(log: VoteLog, postgres: Postgres) -> None:
    rows = [
        vote(created_at=NOON + timedelta(seconds=second), provider=provider, outcome=outcome)
        for second, (provider, outcome) in enumerate(
            [("groq", "ok"), ("groq", "failed"), ("xai", "ok"), ("xai", "failed")] * 300
        )
    ]
    for row in rows:
        log.append(row)
    assert await log.flush(60)
    newest = await recent_votes(postgres, since=NOON)
    assert len(newest) == 1000
    assert [row["vote_id"] for row in newest[:3]] == [row.vote_id for row in rows[:-4:-1]]
    some = await recent_votes(postgres, since=NOON, provider="xai", outcome="failed", limit=5)
    assert [(row["provider"], row["outcome"]) for row in some] == [("xai", "failed")] * 5
    assert len(await recent_votes(postgres, since=rows[-2].created_at)) == 2
    [one] = await recent_votes(postgres, since=NOON, request_id=rows[7].request_id)
    assert one["vote_id"] == rows[7].vote_id
