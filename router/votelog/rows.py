"""The rows of the vote log as frozen values, and their translation into records of their tables.

Field names and order are those of the tables, whose comments say what each column means. A field of type Any is a JSON
column and holds any plain object; it must not change once the row is made, since it is encoded later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from operator import attrgetter
from typing import Any

from router.votelog.clean import Clean, clean_floats, clean_ints, clean_jsons, clean_texts


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRow:
    """One request, whatever its outcome; tokens and cost are the sums over its votes."""

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
    """One attempt, whatever its outcome."""

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
    """Bytes of a prompt or an answer: `direction` is `in` towards a model, `out` from it.

    Without a `vote_id` they are the caller's own request or the response to it.
    """

    request_id: str
    vote_id: str | None = None
    created_at: datetime
    direction: str
    body: bytes
    redacted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryRow:
    """A registry that came into force; a second row with the same hash is dropped."""

    registry_hash: str
    loaded_at: datetime
    document: Any
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChangeRow:
    """A provider (`model` is None) or a model has entered another state; `loud` if a human should know at once."""

    change_id: str
    created_at: datetime
    provider: str
    model: str | None = None
    state: str
    reason: str
    until: datetime | None = None
    loud: bool = False
    replica: str | None = None
    registry_hash: str | None = None


Row = RequestRow | VoteRow | PayloadRow | RegistryRow | StateChangeRow


# --- rows that fit their table ---------------------------------------------------------------------------------------


_CLEAN: Mapping[str, Clean] = {
    "str": clean_texts,
    "int": clean_ints,
    "float": clean_floats,
    "Any": clean_jsons,
}


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the log: its columns, and how a row becomes a record of them.

    `dated_by` is the index of the column that decides the row's partition (a day in UTC), None for a table without
    partitions. `cleaners` holds, per kind of column, the indexes of its columns and the function that cleans them.
    """

    name: str
    columns: tuple[str, ...]
    dated_by: int | None
    read: Callable[[Any], tuple[Any, ...]]
    cleaners: tuple[tuple[tuple[int, ...], Clean], ...]

    def record(self, row: Row) -> tuple[Any, ...]:
        """The row's values in the order of the columns, made fit for Postgres; raises `TypeError` for a wrong type."""
        values = list(self.read(row))
        for places, clean in self.cleaners:
            clean(values, places)
        return tuple(values)


def _table(name: str, row: type[Row], dated_by: str | None = "created_at") -> Table:
    columns = tuple(field.name for field in fields(row))
    kinds = [str(field.type).removesuffix(" | None") for field in fields(row)]
    places = {kind: tuple(at for at, each in enumerate(kinds) if each == kind) for kind in _CLEAN}
    cleaners = tuple((places[kind], clean) for kind, clean in _CLEAN.items() if places[kind])
    return Table(name, columns, columns.index(dated_by) if dated_by else None, attrgetter(*columns), cleaners)


TABLES: Mapping[type[Row], Table] = {
    RequestRow: _table("requests", RequestRow),
    VoteRow: _table("votes", VoteRow),
    PayloadRow: _table("payloads", PayloadRow),
    RegistryRow: _table("registry_versions", RegistryRow, dated_by=None),
    StateChangeRow: _table("state_changes", StateChangeRow, dated_by=None),
}
