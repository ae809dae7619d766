"""`GET /v1/requests/{id}` and `GET /v1/votes`: what the vote log says."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from aiohttp import web

from router.api.errors import ApiError
from router.api.models import json_response
from router.api.values import did_you_mean, invalid
from router.clock import Clock
from router.stores.errors import StoreDown, StoreRefused
from router.stores.postgres import Postgres
from router.votes import queries
from router.votes.record import utc
from router.votes.writer import VoteLog

MAX_VOTES = 1000
_FLUSH_S = 2.0  # a caller asks for a request it has just made: its rows may still be on their way
_AGE = re.compile(r"(\d{1,6})(s|m|h|d)")
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_OUTCOMES = ("ok", "failed", "cancelled_early", "client_gone", "refused", "unknown_crash")
_QUERY = ("since", "provider", "outcome", "request_id", "limit")


class VotesApi:
    """Reads the vote log; 503 while Postgres is away."""

    def __init__(self, postgres: Postgres, log: VoteLog, clock: Clock) -> None:
        self._postgres = postgres
        self._log = log
        self._clock = clock

    async def request(self, request: web.Request) -> web.Response:
        """One request's decision with all its votes; 404 if the log has no such request."""
        request_id = request.match_info["request_id"].removeprefix("chatcmpl-")
        await self._log.flush(_FLUSH_S)
        with _store_errors_told():
            found = await queries.get_request(self._postgres, request_id)
        if found is None:
            raise ApiError(404, "not_found", f"the vote log has no request {request_id[:60]!r}")
        return json_response(found)

    async def votes(self, request: web.Request) -> web.Response:
        """The newest votes: `since` (such as 1h), `provider`, `outcome`, `request_id`, `limit`."""
        asked = request.query
        for name in asked:
            if name not in _QUERY:
                raise invalid(f"unknown query parameter {name[:40]!r}{did_you_mean(name, _QUERY)}", name[:40])
        outcome = asked.get("outcome")
        if outcome is not None and outcome not in _OUTCOMES:
            near = did_you_mean(outcome, _OUTCOMES)
            raise invalid(f"outcome must be one of {', '.join(_OUTCOMES)}{near}", "outcome")
        await self._log.flush(_FLUSH_S)
        with _store_errors_told():
            rows = await queries.recent_votes(
                self._postgres,
                since=self._since(asked),
                provider=asked.get("provider"),
                outcome=outcome,
                request_id=asked.get("request_id"),
                limit=_limit(asked),
            )
        return json_response({"object": "list", "data": rows})

    def _since(self, asked: Mapping[str, str]) -> dt.datetime:
        match = _AGE.fullmatch(asked.get("since", "1h"))
        if match is None:
            raise invalid("since must be an age such as 30m, 1h or 7d", "since")
        age_s = int(match[1]) * _UNITS_S[match[2]]
        return utc(max(0.0, self._clock.wall() - age_s))


def _limit(asked: Mapping[str, str]) -> int:
    text = asked.get("limit", "100")
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MAX_VOTES):
        raise invalid(f"limit must be a whole number from 1 to {MAX_VOTES}", "limit")
    return int(text)


@contextmanager
def _store_errors_told() -> Iterator[None]:
    try:
        yield
    except StoreDown as error:
        reason = f"the vote log cannot be read now: {error}"
        raise ApiError(503, "vote_log_away", reason, retry_after_s=5) from None
    except StoreRefused:
        raise invalid("the vote log cannot be asked for that: a value holds characters that no row has") from None
