"""What the daemon itself asks of the vote log. The statements lie in `sql/`; answers are JSON-ready."""

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
    """A request with all its `votes`, by their order; None if the log does not have it, or that is no UUID.

    Each vote has its `text` where payloads are kept, so that a council can be read from beginning to end.
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
    """Votes since a moment, newest first, at most `limit` (and never more than 1000)."""
    if request_id is not None and not _is_uuid(request_id):
        return []
    wanted = (since, provider, outcome, request_id, max(0, min(limit, MAX_ROWS)))
    return [orjson.loads(row[0]) for row in await postgres.fetch(SQL["recent_votes"], *wanted)]


@dataclass(frozen=True, slots=True)
class Spent:
    """What was sent in one stretch of time: how often, input and output tokens together, and what it cost."""

    begins: datetime
    requests: int
    tokens: int
    usd: float


async def spent(postgres: Postgres, provider: str, model: str | None, since: datetime, width: timedelta) -> list[Spent]:
    """What was sent to a provider, or to one of its models, since a moment, in stretches of `width` from there on."""
    rows = await postgres.fetch(SQL["spent_since"], provider, model, since, width)
    return [Spent(row["begins"], row["requests"], row["tokens"], row["usd"]) for row in rows]


async def recent_changes(
    postgres: Postgres, *, since: datetime, provider: str | None = None, limit: int = MAX_ROWS
) -> list[dict[str, Any]]:
    """Changes of state since a moment, of a provider and its models if one is named, newest first, at most `limit`."""
    wanted = (since, provider, max(0, min(limit, MAX_ROWS)))
    return [orjson.loads(row[0]) for row in await postgres.fetch(SQL["recent_changes"], *wanted)]


def _text(body: bytes) -> str | None:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:  # it was cut or redacted, and is not ours to guess
        return None
    text = said.get("text") if isinstance(said, dict) else None
    return text if isinstance(text, str) else None


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
