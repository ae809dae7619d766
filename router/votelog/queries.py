"""The daemon's own queries of the vote log. The statements are the files in `sql/`; results are JSON-ready."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from router.stores.postgres import Postgres

MAX_ROWS = 1000
SQL = {file.stem: file.read_text(encoding="utf-8") for file in (Path(__file__).parent / "sql").glob("*.sql")}


async def get_request(postgres: Postgres, request_id: str) -> dict[str, Any] | None:
    """A request with all its `votes`, ordered by `seq`; None if the log has no such request or the id is no UUID.

    Each vote carries its answer as `text` where payloads are kept, so that a council can be read from start to end.
    Raises `StoreDown`.
    """
    if not _is_uuid(request_id):
        return None
    found = await postgres.fetchval(SQL["get_request"], request_id)
    if not found:
        return None
    request: dict[str, Any] = orjson.loads(found)
    texts = {str(row["vote_id"]): _text(row["body"]) for row in await postgres.fetch(SQL["get_texts"], request_id)}
    for vote in request["votes"]:
        vote["text"] = texts.get(vote["vote_id"])
    return request


async def recent_votes(
    postgres: Postgres,
    *,
    since: datetime,
    provider: str | None = None,
    outcome: str | None = None,
    request_id: str | None = None,
    limit: int = MAX_ROWS,
) -> list[dict[str, Any]]:
    """Votes that began at or after `since`, newest first, at most `limit` and never more than 1,000.

    None leaves a condition out. Raises `StoreDown`.
    """
    if request_id is not None and not _is_uuid(request_id):
        return []
    wanted = (since, provider, outcome, request_id, max(0, min(limit, MAX_ROWS)))
    return [orjson.loads(row[0]) for row in await postgres.fetch(SQL["recent_votes"], *wanted)]


@dataclass(frozen=True, slots=True)
class SpentInPeriod:
    """What was sent in one period that starts at `begins`: calls, input plus output tokens, cost in US dollars."""

    begins: datetime
    requests: int
    tokens: int
    usd: float


async def spent_since(
    postgres: Postgres, provider: str, model: str | None, since: datetime, width: timedelta
) -> list[SpentInPeriod]:
    """What was sent to a provider, or to one of its models, in consecutive periods of `width` from `since` on.

    Periods in which nothing was sent are left out. Raises `StoreDown`.
    """
    rows = await postgres.fetch(SQL["spent_since"], provider, model, since, width)
    return [SpentInPeriod(row["begins"], row["requests"], row["tokens"], row["usd"]) for row in rows]


async def recent_changes(
    postgres: Postgres, *, since: datetime, provider: str | None = None, limit: int = MAX_ROWS
) -> list[dict[str, Any]]:
    """Changes of state since a moment, of all providers or of one with its models, newest first, at most `limit`.

    Raises `StoreDown`.
    """
    wanted = (since, provider, max(0, min(limit, MAX_ROWS)))
    return [orjson.loads(row[0]) for row in await postgres.fetch(SQL["recent_changes"], *wanted)]


def _text(body: bytes) -> str | None:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:  # cut or redacted: there is no text to show
        return None
    text = said.get("text") if isinstance(said, dict) else None
    return text if isinstance(text, str) else None


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
