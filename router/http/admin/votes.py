"""`GET /v1/requests/{id}` and `GET /v1/votes`: decisions and votes from the vote log."""

from __future__ import annotations

from typing import get_args

from aiohttp import web

from router.core.clock import Clock
from router.core.text import did_you_mean
from router.core.vote import VoteOutcome
from router.http.admin.log_query import FLUSH_S, limit, refuse_unknown, since, store_errors_to_responses
from router.http.body import json_response
from router.http.errors import ApiError
from router.http.values import invalid
from router.stores.postgres import Postgres
from router.votelog import queries
from router.votelog.writer import VoteLog

_OUTCOMES = (*get_args(VoteOutcome), "unknown_crash")
_QUERY = ("since", "provider", "outcome", "request_id", "limit")


class VotesApi:
    """Reads the vote log; 503 `vote_log_away` while Postgres is down."""

    def __init__(self, postgres: Postgres, log: VoteLog, clock: Clock) -> None:
        self._postgres = postgres
        self._log = log
        self._clock = clock

    async def request(self, request: web.Request) -> web.Response:
        """One request's decision with all its votes; 404 if the log has no such request."""
        request_id = request.match_info["request_id"].removeprefix("chatcmpl-")
        await self._log.flush(FLUSH_S)
        with store_errors_to_responses():
            found = await queries.get_request(self._postgres, request_id)
        if found is None:
            raise ApiError(404, "not_found", f"the vote log has no request {request_id[:60]!r}")
        return json_response(found)

    async def votes(self, request: web.Request) -> web.Response:
        """Votes, newest first. Query: `since` (an age such as 1h), `provider`, `outcome`, `request_id`, `limit`."""
        asked = request.query
        refuse_unknown(asked, _QUERY)
        outcome = asked.get("outcome")
        if outcome is not None and outcome not in _OUTCOMES:
            near = did_you_mean(outcome, _OUTCOMES)
            raise invalid(f"outcome must be one of {', '.join(_OUTCOMES)}{near}", "outcome")
        begin, most = since(asked, self._clock.wall()), limit(asked)
        await self._log.flush(FLUSH_S)
        with store_errors_to_responses():
            rows = await queries.recent_votes(
                self._postgres,
                since=begin,
                provider=asked.get("provider"),
                outcome=outcome,
                request_id=asked.get("request_id"),
                limit=most,
            )
        return json_response({"object": "list", "data": rows})
