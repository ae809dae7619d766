"""`GET /v1/weather/changes`: state changes of providers and models, with time and reason."""

from __future__ import annotations

from aiohttp import web

from router.core.clock import Clock
from router.http.admin.log_query import FLUSH_S, limit, refuse_unknown, since, store_errors_to_responses
from router.http.body import json_response
from router.stores.postgres import Postgres
from router.votelog import queries
from router.votelog.writer import VoteLog

_QUERY = ("since", "provider", "limit")


class ChangesApi:
    """Reads state changes from the vote log; 503 `vote_log_away` while Postgres is down."""

    def __init__(self, postgres: Postgres, log: VoteLog, clock: Clock) -> None:
        self._postgres = postgres
        self._log = log
        self._clock = clock

    async def changes(self, request: web.Request) -> web.Response:
        """Changes, newest first. Query: `since` (an age such as 1h), `provider`, `limit`."""
        asked = request.query
        refuse_unknown(asked, _QUERY)
        begin, most, provider = since(asked, self._clock.wall()), limit(asked), asked.get("provider")
        await self._log.flush(FLUSH_S)
        with store_errors_to_responses():
            rows = await queries.recent_changes(self._postgres, since=begin, provider=provider, limit=most)
        return json_response({"object": "list", "data": rows})
