"""Changes of state: written like votes, read by analysts, and told at `/v1/weather/changes`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import asyncpg
import pytest
from aiohttp import web

from router.core.clock import SYSTEM_CLOCK, utc
from router.core.ids import new_id
from router.http.admin.changes import ChangesApi
from router.http.middleware import errors_to_responses, identify
from router.stores.postgres import Postgres
from router.votelog.queries import recent_changes
from router.votelog.rows import StateChangeRow
from router.votelog.writer import Counts, VoteLog
from tests.votelog.conftest import NOON

Ask = Callable[[str], Awaitable[tuple[int, Any]]]


def change(seconds: float = 0.0, provider: str = "groq", since: datetime = NOON, **facts: Any) -> StateChangeRow:
    """A change some seconds after noon, otherwise as usual."""
    usual: dict[str, Any] = {"model": "gpt-oss", "state": "limited", "reason": "slow down"}
    when = since + timedelta(seconds=seconds)
    return StateChangeRow(change_id=new_id(SYSTEM_CLOCK), created_at=when, provider=provider, **usual | facts)


async def test_a_change_comes_back_as_it_was_put_in(log: VoteLog, postgres: Postgres) -> None:
    row = change(until=NOON + timedelta(minutes=1), loud=True, replica="host-7", registry_hash="3f9c")
    for _ in range(2):  # the second adds nothing
        log.append(row)
    log.append(change(1, model=None, state="bad-key", reason="nul \0 and " + "x" * 600))
    assert await log.flush(60)
    whole, limited = await recent_changes(postgres, since=NOON)
    assert limited == {
        "change_id": row.change_id,
        "created_at": "2026-11-21T12:00:00+00:00",
        "provider": "groq",
        "model": "gpt-oss",
        "state": "limited",
        "reason": "slow down",
        "until": "2026-11-21T12:01:00+00:00",
        "loud": True,
        "replica": "host-7",
        "registry_hash": "3f9c",
    }
    assert (whole["model"], whole["until"], whole["loud"], len(whole["reason"])) == (None, None, False, 499)
    assert log.counts == Counts(appended=3, committed=3)


async def test_changes_are_filtered_newest_first_and_bounded(log: VoteLog, postgres: Postgres) -> None:
    rows = [change(second, ("groq", "xai")[second % 2]) for second in range(1200)]
    for row in rows:
        log.append(row)
    assert await log.flush(60)
    newest = await recent_changes(postgres, since=NOON)
    assert [found["change_id"] for found in newest] == [row.change_id for row in rows[:-1001:-1]]
    some = await recent_changes(postgres, since=NOON, provider="xai", limit=3)
    assert [found["change_id"] for found in some] == [row.change_id for row in rows[:-6:-2]]
    assert len(await recent_changes(postgres, since=rows[-2].created_at)) == 2
    assert await recent_changes(postgres, since=NOON, limit=0) == []


async def test_what_is_no_change_is_set_aside_alone(log: VoteLog, postgres: Postgres) -> None:
    for facts in ({"state": None}, {"loud": "yes"}, {"until": "soon"}, {"provider": 7}):
        log.append(change(**facts))
        log.append(change())
    assert await log.flush(60)
    assert log.counts == Counts(appended=8, committed=4, dead=4)


async def test_the_analyst_reads_them_and_no_more(pg_dsn: str) -> None:
    connection = await asyncpg.connect(pg_dsn)
    await connection.execute("SET ROLE quorum_analyst")
    assert await connection.fetch("SELECT * FROM quorum.state_changes") == []
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute("DELETE FROM quorum.state_changes")
    await connection.close()


# --- over HTTP --------------------------------------------------------------------------------------------------------


@pytest.fixture
async def ask(postgres: Postgres, log: VoteLog) -> AsyncIterator[Ask]:
    """Asks for changes by a query string; gives the status and what was said."""
    app = web.Application(middlewares=[identify(SYSTEM_CLOCK), errors_to_responses])
    app.add_routes([web.get("/v1/weather/changes", ChangesApi(postgres, log, SYSTEM_CLOCK).changes)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/weather/changes"
    async with aiohttp.ClientSession() as session:

        async def ask(query: str) -> tuple[int, Any]:
            async with session.get(url + query) as response:
                return response.status, await response.json()

        yield ask
    await runner.cleanup()


async def test_a_change_is_told_as_soon_as_it_was_noticed(log: VoteLog, ask: Ask) -> None:
    now = utc(SYSTEM_CLOCK.wall())
    for seconds, provider in ((-7200, "groq"), (-60, "groq"), (-30, "xai")):
        log.append(change(seconds, provider, now))

    async def told(query: str) -> list[str]:
        status, document = await ask(query)
        assert (status, document["object"]) == (200, "list")
        return [row["provider"] for row in document["data"]]

    assert await told("") == ["xai", "groq"]
    assert await told("?since=1d") == ["xai", "groq", "groq"]
    assert await told("?since=45s") == ["xai"]
    assert await told("?since=1d&provider=groq&limit=1") == ["groq"]
    assert await told("?provider=nobody") == []


@pytest.mark.parametrize(
    ("query", "param", "told"),
    [
        ("?sinse=1h", "sinse", "did you mean 'since'?"),
        ("?since=yesterday", "since", "an age such as"),
        ("?since=", "since", "an age such as"),
        ("?limit=0", "limit", "from 1 to 1000"),
        ("?limit=1001", "limit", "from 1 to 1000"),
        ("?limit=" + "9" * 5000, "limit", "from 1 to 1000"),
        ("?provider=%00", None, "Postgres cannot store"),
    ],
)
async def test_what_cannot_be_asked_is_a_400_that_says_why(ask: Ask, query: str, param: str | None, told: str) -> None:
    status, document = await ask(query)
    assert (status, document["error"]["param"]) == (400, param)
    assert told in document["error"]["message"]


async def test_while_postgres_is_away_it_is_a_503(ask: Ask, postgres: Postgres) -> None:
    await postgres.stop()
    status, document = await ask("")
    assert (status, document["error"]["code"]) == (503, "vote_log_away")
