"""Query parameters of the vote-log endpoints, and their errors when the vote log cannot be read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

from router.core.clock import utc
from router.core.duration import parse_duration
from router.core.text import did_you_mean
from router.http.errors import ApiError
from router.http.values import invalid
from router.stores.errors import StoreDown, StoreRefused
from router.votelog.queries import MAX_ROWS

FLUSH_S = 2.0
"""Longest wait for pending rows to reach Postgres: a caller often asks for the request it has just made."""


def refuse_unknown(asked: Mapping[str, str], known: Collection[str]) -> None:
    """Raises a 400 for an unknown query parameter, with the nearest known one."""
    for name in asked:
        if name not in known:
            raise invalid(f"unknown query parameter {name[:40]!r}{did_you_mean(name, known)}", name[:40])


def since(asked: Mapping[str, str], wall: float) -> dt.datetime:
    """The time that lies `since` (an age such as 30m or 7d, by default 1h) before Unix time `wall`."""
    try:
        age_s = parse_duration(asked.get("since", "1h"))
    except ValueError as error:
        raise invalid(f"since must be an age such as 30m: {error}", "since") from None
    return utc(max(0.0, wall - age_s))


def limit(asked: Mapping[str, str]) -> int:
    """The most rows to return: `limit`, by default 100."""
    text = asked.get("limit", "100")
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MAX_ROWS):
        raise invalid(f"limit must be a whole number from 1 to {MAX_ROWS}", "limit")
    return int(text)


@contextmanager
def store_errors_to_responses() -> Iterator[None]:
    """Turns failures of Postgres into errors for the caller: 503 while it is down, 400 for a value it cannot store."""
    try:
        yield
    except StoreDown as error:
        reason = f"the vote log cannot be read now: {error}"
        raise ApiError(503, "vote_log_away", reason, retry_after_s=5) from None
    except StoreRefused:
        raise invalid("a query parameter holds a value that Postgres cannot store, such as a NUL character") from None
