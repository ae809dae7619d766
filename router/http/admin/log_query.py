"""Query parameters of requests to the vote log, and the error while it cannot be read."""

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
"""How long an answer waits for rows that are on their way: a caller asks for what he has just done."""


def refuse_unknown(asked: Mapping[str, str], known: Collection[str]) -> None:
    """Raises a 400 with a near miss for a parameter that is none."""
    for name in asked:
        if name not in known:
            raise invalid(f"unknown query parameter {name[:40]!r}{did_you_mean(name, known)}", name[:40])


def since(asked: Mapping[str, str], wall: float) -> dt.datetime:
    """The moment that lies `since` (such as 30m or 7d, else 1h) before Unix time `wall`."""
    try:
        age_s = parse_duration(asked.get("since", "1h"))
    except ValueError as error:
        raise invalid(f"since must be an age: {error}", "since") from None
    return utc(max(0.0, wall - age_s))


def limit(asked: Mapping[str, str]) -> int:
    """How many rows at most: `limit`, else 100."""
    text = asked.get("limit", "100")
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MAX_ROWS):
        raise invalid(f"limit must be a whole number from 1 to {MAX_ROWS}", "limit")
    return int(text)


@contextmanager
def store_errors_told() -> Iterator[None]:
    """Turns the failures of Postgres into a 503 while it is away, and a 400 for values that no row can have."""
    try:
        yield
    except StoreDown as error:
        reason = f"the vote log cannot be read now: {error}"
        raise ApiError(503, "vote_log_away", reason, retry_after_s=5) from None
    except StoreRefused:
        raise invalid("the vote log cannot be asked for that: a value holds characters that no row has") from None
