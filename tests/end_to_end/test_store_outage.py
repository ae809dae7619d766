"""Stores that go down and come back, or were never up: callers notice nothing, and every row is accounted for."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg

from router.observe import log
from router.stores.embedded.start import start_embedded
from tests.end_to_end.test_reload_live import load
from tests.support.daemon import Running, Start, registry_for
from tests.support.scripted import Scripted, whole

Providers = Callable[[int], Awaitable[list[Scripted]]]
PASSWORD = "canary-password"
NOWHERE = {
    "DATABASE_URL": f"postgresql://quorum:{PASSWORD}@127.0.0.1:1/quorum",
    "REDIS_URL": f"redis://:{PASSWORD}@127.0.0.1:1",
}


async def until(quorum: Running, true: Callable[[dict[str, Any]], bool], limit_s: float = 60.0) -> dict[str, Any]:
    """Looks at `/healthz` until something is true of it; at every look the rows must be accounted for."""
    async with asyncio.timeout(limit_s):
        while True:
            told: dict[str, Any] = (await quorum.get("/healthz")).json
            assert_accounted(told["vote_log"])
            assert (await quorum.get("/readyz")).status == 200
            if true(told):
                return told
            await asyncio.sleep(0.02)


def assert_accounted(rows: dict[str, float]) -> None:
    waiting = rows["pending"] if "pending" in rows else rows["spooled"]
    assert rows["appended"] == rows["committed"] + waiting + rows["dead"] + rows["lost"]


async def scraped(quorum: Running) -> dict[str, float]:
    """The accounts of the vote log as `/metrics` has them."""
    page = (await quorum.get("/metrics")).body.decode()
    lines = [line.split('"') for line in page.splitlines() if line.startswith("quorum_vote_log{")]
    return {line[1]: float(line[2].strip("} ")) for line in lines}


async def test_both_stores_stop_and_start_again_under_load(
    start_daemon: Start, providers: Providers, tmp_path: Path
) -> None:
    (one,) = await providers(1)
    one.then(whole("one"))
    stores = await start_embedded(tmp_path / "own", postgres=True, redis=True)
    dsn, url = stores.postgres_dsn, stores.redis_url
    assert dsn is not None
    assert url is not None
    try:
        quorum = await start_daemon(registry_for([one]), {"DATABASE_URL": dsn, "REDIS_URL": url})
        await until(quorum, lambda told: told["status"] == "ok")
        async with load(quorum) as callers:
            await callers.one_more()
            await stores.stop()
            away = await until(quorum, lambda told: not any(store["up"] for store in told["stores"].values()))
            assert away["status"] == "degraded"
            assert all(store["why"] for store in away["stores"].values())
            await callers.one_more()
            await until(quorum, lambda told: told["vote_log"]["pending"] > 0)
            assert_accounted(await scraped(quorum))

            stores = await start_embedded(tmp_path / "own", postgres=True, redis=True)
            await until(quorum, lambda told: told["status"] == "ok")
            await callers.one_more()
        settled = await until(quorum, lambda told: told["vote_log"]["pending"] == 0)

        rows = settled["vote_log"]
        assert (rows["dead"], rows["lost"]) == (0, 0)
        assert_accounted(await scraped(quorum))
        assert {reply.status for reply in callers.replies} == {200}
        connection = await asyncpg.connect(dsn)
        for table in ("requests", "votes"):
            stored = await connection.fetch(f"SELECT request_id::text FROM quorum.{table}")
            assert sorted(row[0] for row in stored) == sorted(r.headers["X-Request-Id"] for r in callers.replies)
        await connection.close()
    finally:
        await stores.stop()


async def test_a_daemon_whose_stores_were_never_there_answers_all_the_same(
    start_daemon: Start, providers: Providers
) -> None:
    (one,) = await providers(1)
    one.then(whole("one"))
    written = io.StringIO()
    log.configure("debug", "json", written)
    quorum = await start_daemon(registry_for([one]), NOWHERE)

    replies = [await quorum.chat() for _ in range(5)]

    assert [reply.json["choices"][0]["message"]["content"] for reply in replies] == ["one"] * 5
    told = await until(quorum, lambda told: told["vote_log"]["pending"] > 0)
    assert (told["status"], told["vote_log"]["committed"], told["vote_log"]["lost"]) == ("degraded", 0, 0)
    assert [store["up"] for store in told["stores"].values()] == [False, False]
    assert_accounted(await scraped(quorum))
    asked = await quorum.get(f"/v1/requests/{replies[0].headers['X-Request-Id']}")
    assert (asked.status, asked.error["code"], asked.headers["Retry-After"]) == (503, "vote_log_away", "5")
    assert PASSWORD not in str(told) + asked.body.decode() + written.getvalue()
