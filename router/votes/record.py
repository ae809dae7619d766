"""The rows of the vote log as frozen values, and what is done to them so that Postgres takes every one.

Field names and order are those of the tables. A JSON column holds any plain object, which must not change afterwards.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import orjson

from router.clock import Clock

TEXT_MAX_CHARS = 500
_INT_MAX = (1 << 63) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRow:
    """One request, whatever came of it; tokens and cost are those of all its votes."""

    request_id: str
    created_at: datetime
    completed_at: datetime | None = None
    api: str | None = None
    strategy: str | None = None
    tier: str | None = None
    request_model: str | None = None
    response_model: str | None = None
    provider: str | None = None
    outcome: str | None = None
    error_type: str | None = None
    http_status: int | None = None
    stream: bool = False
    duration_ms: float | None = None
    first_token_ms: float | None = None
    overhead_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    votes_planned: int | None = None
    votes_cast: int | None = None
    votes_counted: int | None = None
    agreement: float | None = None
    margin: float | None = None
    tie: bool | None = None
    quorum_met: bool | None = None
    answer_key: str | None = None
    answer_sha256: str | None = None
    rule: Any = None
    seed: int | None = None
    excluded: Any = None
    caller: str | None = None
    end_user: str | None = None
    tags: Any = None
    trace_id: str | None = None
    registry_hash: str | None = None
    replica: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteRow:
    """One attempt, whatever came of it."""

    vote_id: str
    request_id: str
    created_at: datetime
    seq: int
    role: str
    provider: str
    model: str
    response_model: str | None = None
    adapter: str | None = None
    family: str | None = None
    weight: float | None = None
    outcome: str
    error_type: str | None = None
    http_status: int | None = None
    error_message: str | None = None
    retry_after_ms: float | None = None
    queue_ms: float | None = None
    connect_ms: float | None = None
    first_token_ms: float | None = None
    duration_ms: float | None = None
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    usage_estimated: bool = False
    cost_usd: float | None = None
    finish_reason: str | None = None
    answer_key: str | None = None
    answer_sha256: str | None = None
    ballot: Any = None
    valid: bool | None = None
    counted: bool | None = None
    agreed: bool | None = None
    winner: bool | None = None
    arrival_ms: float | None = None
    sent: bool = False
    stream: bool = False
    provider_request_id: str | None = None
    registry_hash: str | None = None
    replica: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadRow:
    """What was said, as bytes: `in` towards a model or `out` from it; without a `vote_id`, by and to the caller."""

    request_id: str
    vote_id: str | None = None
    created_at: datetime
    direction: str
    body: bytes
    redacted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryRow:
    """A registry that came into force; the first row of a hash stays."""

    registry_hash: str
    loaded_at: datetime
    document: Any
    source: str | None = None


Row = RequestRow | VoteRow | PayloadRow | RegistryRow


# --- ids and times ---------------------------------------------------------------------------------------------------


def new_id(clock: Clock) -> str:
    """A UUIDv7 (RFC 9562): sorts by the millisecond it was made in, and by nothing else."""
    noise = secrets.randbits(74)  # once, since each is a call to the kernel
    value = int(clock.wall() * 1000) << 80 | 0x7 << 76 | (noise >> 62) << 64 | 0b10 << 62 | noise & (1 << 62) - 1
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def utc(wall_s: float) -> datetime:
    """A time of the wall clock as the rows hold it."""
    return datetime.fromtimestamp(wall_s, UTC)


# --- rows that fit their table ---------------------------------------------------------------------------------------


def clean_text(value: Any) -> Any:
    """Text without NUL and lone surrogates, at most 500 characters; anything else as it is."""
    if not isinstance(value, str):
        return value
    if len(value) <= TEXT_MAX_CHARS and value.isascii() and "\0" not in value:
        return value
    return value[:TEXT_MAX_CHARS].replace("\0", "").encode("utf-8", "replace").decode()


def clean_int(value: Any) -> Any:
    """An integer within 64 bits; anything else as it is."""
    if not isinstance(value, int) or -_INT_MAX <= value <= _INT_MAX:
        return value
    return _INT_MAX if value > 0 else -_INT_MAX


def clean_float(value: Any) -> Any:
    """None for a number that JSON and sums cannot bear; anything else as it is."""
    return value if not isinstance(value, float) or math.isfinite(value) else None


def clean_json(value: Any) -> str:
    """JSON text that a jsonb column takes; what cannot be encoded is replaced, never refused."""
    try:
        text = orjson.dumps(value)
    except (TypeError, ValueError):
        text = orjson.dumps(_plain(value))
    return (text if b"\\u0000" not in text else orjson.dumps(_plain(orjson.loads(text)))).decode()


def _plain(value: Any, depth: int = 0) -> Any:
    """The value with only such strings, numbers and keys as jsonb knows, at most 20 levels deep."""
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, Mapping) and depth < 20:
        return {_plain(str(key)): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset) and depth < 20:
        return [_plain(item, depth + 1) for item in value]
    if value is None or isinstance(value, bool | float):
        return value
    return clean_int(value) if isinstance(value, int) else _plain(str(value))


_CLEAN: Mapping[str, Callable[[Any], Any]] = {
    "str": clean_text,
    "int": clean_int,
    "float": clean_float,
    "Any": clean_json,
}


@dataclass(frozen=True, slots=True)
class Table:
    """Where the rows of one class go: the table's columns, and how a row becomes a record of them."""

    name: str
    columns: tuple[str, ...]
    read: Callable[[Any], tuple[Any, ...]]
    cleaners: tuple[tuple[int, Callable[[Any], Any]], ...]

    def record(self, row: Row) -> tuple[Any, ...]:
        """The row's values in the order of the columns, made fit for Postgres."""
        values = list(self.read(row))
        for index, clean in self.cleaners:
            if values[index] is not None:
                values[index] = clean(values[index])
        return tuple(values)


def _table(name: str, row: type[Row]) -> Table:
    columns = tuple(field.name for field in fields(row))
    kinds = [str(field.type).removesuffix(" | None") for field in fields(row)]
    cleaners = tuple((index, _CLEAN[kind]) for index, kind in enumerate(kinds) if kind in _CLEAN)
    return Table(name, columns, attrgetter(*columns), cleaners)


TABLES: Mapping[type[Row], Table] = {
    RequestRow: _table("requests", RequestRow),
    VoteRow: _table("votes", VoteRow),
    PayloadRow: _table("payloads", PayloadRow),
    RegistryRow: _table("registry_versions", RegistryRow),
}
