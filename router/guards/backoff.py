"""Backoff: how long a seat is left alone after a failure, or after headers that report a spent limit; pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from adapters.errors import ErrorKind, ProviderError
from adapters.types import LimitSeen
from router.core.registry import Seat
from router.guards.limits.windows import next_reset

_DEFAULT_WAIT_S: Mapping[ErrorKind, float] = {  # where the provider sends no Retry-After
    ErrorKind.RATE_LIMITED: 15.0,  # a quarter of the usual window: early enough to notice, late enough not to hammer
    ErrorKind.QUOTA_EXHAUSTED: 3600.0,
    ErrorKind.BILLING: 3600.0,
}
_MAX_COOLDOWN_S = 3600.0  # a provider that asks for more than an hour is asked again after one
_MAX_DESELECTED_S = 31 * 86400.0


def wait_s(error: ProviderError, seat: Seat, wall: float, *, deselected: bool) -> float:
    """Seconds to leave a seat alone: what its provider asked for, within bounds, else a default; 0 for not at all.

    For a spent day or month (`deselected`) the reset that the registry names counts if it is later. `wall` is Unix
    time in seconds.
    """
    asked_s = _DEFAULT_WAIT_S.get(error.kind, 0.0) if error.retry_after_s is None else error.retry_after_s
    if not deselected:
        return min(asked_s, _MAX_COOLDOWN_S)
    # A short Retry-After beside a spent day is about the minute limit: the calendar knows better.
    return min(max(_until_reset_s(error, seat, wall), asked_s), _MAX_DESELECTED_S)


def seen_until(limit: LimitSeen, wall: float) -> float | None:
    """Until when a limit that a provider's headers describe is spent (Unix time); None while something is left."""
    if limit.remaining is None or limit.remaining >= 1:
        return None
    if limit.resets_in_s is not None:
        wait = limit.resets_in_s
    elif limit.resets_at is not None:
        wait = limit.resets_at - wall
    else:
        return None
    most_s = _MAX_DESELECTED_S if limit.per in ("day", "month") else _MAX_COOLDOWN_S
    return wall + min(wait, most_s) if wait > 0 else None


def _until_reset_s(error: ProviderError, seat: Seat, wall: float) -> float:
    if error.kind is not ErrorKind.QUOTA_EXHAUSTED:
        return 0.0
    if error.scope == "month":
        now = dt.datetime.fromtimestamp(wall, dt.UTC)
        first = (now.replace(day=1) + dt.timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return first.timestamp() - wall if error.retry_after_s is None else 0.0
    limits = (*seat.model.limits, *seat.provider.limits)
    resets = [next_reset(limit, wall) for limit in limits if limit.per == "day" and limit.resets != "rolling"]
    return max(resets) - wall if resets else 0.0
