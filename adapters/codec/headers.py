"""Reads response headers: how long to wait, which rate limits are left, and the provider's id of the request.

No two providers agree on the format. Waits come as seconds, milliseconds, HTTP dates or sentences; resets as seconds
(Cerebras: with a fraction), Go durations (OpenAI, Groq: `6m0s`), ISO 8601 (Anthropic) or Unix milliseconds
(OpenRouter). All are accepted from every provider: they tell each other apart by their form, and gateways mix them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import cast

from adapters.types import LimitPer, LimitSeen, LimitsSeen, LimitUnit

MAX_WAIT_S = 31 * 86400.0  # the longest window of any provider is a month: a longer wait is garbage or an attack
_EPOCH_S = 1e9  # numbers from here on are Unix time (since 2001), not durations: as one this would be 31 years
_EPOCH_MS = 1e12  # … and from here on in milliseconds

_NUMBER = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18})?")
_DURATION = re.compile(r"(?:[0-9]{1,12}(?:\.[0-9]{1,18})?(?:ms|us|µs|ns|d|h|m|s))+")
_DURATION_PART = re.compile(r"([0-9.]+)(ms|us|µs|ns|d|h|m|s)")
_UNIT_S = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_WAIT_IN_TEXT = re.compile(
    r"(?:try again in|retry in|retry after|please wait) (?P<amount>[0-9][0-9.a-zµ]{0,40})"
    r"(?: (?P<unit>second|minute|hour|day))?",
    re.IGNORECASE,
)
_WORD_S = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
_BACK_AT = re.compile(r"regain access on ([0-9]{4}-[0-9]{2}-[0-9]{2}) at ([0-9]{2}:[0-9]{2}) UTC")

# --- waiting ---------------------------------------------------------------------------------------------------------


def retry_after_s(headers: Mapping[str, str], hint: str = "") -> float | None:
    """Seconds to wait as the headers ask, else as `hint` from the body does; None if neither says so.

    `retry-after-ms` comes first: OpenAI's SDKs read it before `Retry-After` (RFC 9110, section 10.2.3), because it is
    the more exact. Moments count from the response's own `Date`, not from our clock, which may be wrong; without that
    header they say nothing. The result is between 0 and `MAX_WAIT_S`.
    """
    now = _now(headers)
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds:  # not 0, which some send beside a real retry-after
        return min(milliseconds / 1000, MAX_WAIT_S)
    for value in (headers.get("retry-after", ""), hint):
        if (wait := _wait_s(value, now)) is not None:
            return wait
    return None


def wait_in_text_s(headers: Mapping[str, str], text: str) -> float | None:
    """Seconds to wait as the sentence of an error asks, such as `Please try again in 1h53m56.832s.`; else None."""
    if (back := _BACK_AT.search(text)) is not None:
        return _wait_s(f"{back[1]}T{back[2]}:00Z", _now(headers))
    if (found := _WAIT_IN_TEXT.search(text)) is None:
        return None
    amount, unit = found["amount"].rstrip("."), found["unit"]
    if unit and (number := _number(amount)) is not None:
        return min(number * _WORD_S[unit.lower()], MAX_WAIT_S)
    return _wait_s(amount.lower(), None)


def spent_wait_s(headers: Mapping[str, str], limits: LimitsSeen, scope: str | None) -> float | None:
    """Seconds until every limit with nothing left is full again, of those whose window fits `scope`; None if unknown.

    For 429s without any other hint: Cerebras and OpenRouter tell the wait only as the reset of the limit that is spent.
    """
    windows = _WINDOWS.get(scope or "", ())
    spent = [limit for limit in limits if limit.remaining == 0 and limit.per in windows]
    return max((wait for limit in spent if (wait := _until_s(limit, _now(headers))) is not None), default=None)


_WINDOWS: Mapping[str, tuple[LimitPer, ...]] = {
    "minute": ("second", "minute", "hour", ""),
    "day": ("day", ""),
    "month": ("month", ""),
}


def _until_s(limit: LimitSeen, now: float | None) -> float | None:
    if limit.resets_at is None or now is None:
        return None if limit.resets_in_s is None else min(limit.resets_in_s, MAX_WAIT_S)
    return min(max(limit.resets_at - now, 0.0), MAX_WAIT_S)


def _wait_s(value: str, now: float | None) -> float | None:
    in_s, at = _reset(value.strip())
    if in_s is None and at is not None and now is not None:
        in_s = at - now
    return None if in_s is None else min(max(in_s, 0.0), MAX_WAIT_S)


def _now(headers: Mapping[str, str]) -> float | None:
    return _http_date(headers.get("date", ""))


def _reset(value: str) -> tuple[float | None, float | None]:
    """(duration in seconds, moment in Unix time): one of them, by the form of `value`, or neither."""
    if (number := _number(value)) is not None:
        if number >= _EPOCH_MS:
            return None, number / 1000
        return (None, number) if number >= _EPOCH_S else (number, None)
    if _DURATION.fullmatch(value):
        return sum(float(amount) * _UNIT_S[unit] for amount, unit in _DURATION_PART.findall(value)), None
    return None, _iso_date(value) or _http_date(value)


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text.strip()) else None


def _iso_date(text: str) -> float | None:
    if not 20 <= len(text) <= 40 or text[10] not in "Tt ":
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return _unix(moment)


def _http_date(text: str) -> float | None:
    if not 20 <= len(text) <= 40:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return _unix(moment)


def _unix(moment: datetime) -> float | None:
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


# --- limits ----------------------------------------------------------------------------------------------------------

# `x-ratelimit-remaining-tokens-minute`, `anthropic-ratelimit-input-tokens-reset`, `ratelimit-limit` (the IETF's draft).
_LIMIT_HEADER = re.compile(
    r"(?:x-|anthropic-)?ratelimit-(?:"
    r"(?P<what>limit|remaining|reset)(?:-(?P<unit>requests?|req|(?:input-|output-)?tokens))?"
    r"(?:-(?P<per>second|minute|hour|day|month))?"
    r"|(?P<unit_first>requests|(?:input-|output-)?tokens)-(?P<what_last>limit|remaining|reset))"
)
_UNITS: Mapping[str, LimitUnit] = {
    "request": "requests",
    "requests": "requests",
    "req": "requests",
    "tokens": "tokens",
    "input-tokens": "input_tokens",
    "output-tokens": "output_tokens",
}
PER_MINUTE: Mapping[LimitUnit, LimitPer] = dict.fromkeys(_UNITS.values(), "minute")


def limits_seen(headers: Mapping[str, str], periods: Mapping[LimitUnit, LimitPer]) -> LimitsSeen:
    """The rate limits in headers of the usual spellings; `periods` gives the window of a unit that names none.

    Most providers leave the window out, and it is not the same for all: at Groq, requests are counted by the day and
    tokens by the minute (console.groq.com/docs/rate-limits).
    """
    facts = []
    for name, value in headers.items():
        if "ratelimit-" in name and (found := _LIMIT_HEADER.fullmatch(name)) is not None:
            unit = _UNITS[found["unit"] or found["unit_first"] or "requests"]
            per = found["per"] or periods.get(unit, "")
            facts.append((unit, cast("LimitPer", per), found["what"] or found["what_last"], value))
    return limits_from(facts) if facts else ()


def limits_from(facts: Iterable[tuple[LimitUnit, LimitPer, str, str]]) -> LimitsSeen:
    """Limits from single headers (unit, window, `limit`|`remaining`|`reset`, value); garbage is left out."""
    seen: dict[tuple[LimitUnit, LimitPer], dict[str, str]] = {}
    for unit, per, what, value in facts:
        seen.setdefault((unit, per), {})[what] = value.strip()
    limits = (_limit(unit, per, said) for (unit, per), said in seen.items())
    return tuple(limit for limit in limits if limit is not None)


def _limit(unit: LimitUnit, per: LimitPer, said: Mapping[str, str]) -> LimitSeen | None:
    limit, remaining = _number(said.get("limit", "")), _number(said.get("remaining", ""))
    in_s, at = _reset(said["reset"]) if "reset" in said else (None, None)
    known = any(value is not None for value in (limit, remaining, in_s, at))
    return LimitSeen(unit, per, limit, remaining, in_s, at) if known else None


# --- the provider's id of the request ---------------------------------------------------------------------------------

_REQUEST_IDS = (
    "x-request-id",
    "request-id",
    "apim-request-id",
    "x-debug-trace-id",
    "nvcf-reqid",
    "mistral-correlation-id",
    "inference-id",
    "x-ds-trace-id",
    "cf-ray",
)


def request_id(headers: Mapping[str, str]) -> str:
    """The provider's own id of this request, by which its support finds it; empty if it gave none."""
    for name in _REQUEST_IDS:
        if name in headers and (given := headers[name]):
            return given[:200]
    return ""
