"""Facts: what replicas tell each other about seats and providers, and the form in which it lies in Redis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

import orjson

FactKind = Literal["wait", "stop", "leak", "drain", "open", "verdict"]
REASON_MAX_CHARS = 300
_WITHDRAWN = ""
_LASTING: frozenset[FactKind] = frozenset({"wait", "drain"})  # a later, shorter one never shortens an earlier one
_KINDS = frozenset(get_args(FactKind))
_TEXT_MAX_CHARS = 1000
_MAX_TIME = 1e11  # Unix time, in the year 5138: what lies beyond is garbage, or never comes
_OPTIONAL = frozenset({"failed_once"})  # members that replicas of an earlier version do not write


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that is known about a seat ("provider/model") or a provider.

    `until` and `at` are Unix times in seconds; without `until` it holds until a person ends it. `by` is the replica
    that told it, `mark` the fingerprint of the address and key it was learned with; `failed_once` is a verdict's.
    """

    kind: FactKind
    subject: str
    state: str
    reason: str
    until: float | None
    at: float
    by: str
    mark: str = ""
    failed_once: bool = False

    @property
    def withdrawn(self) -> bool:
        """Whether it only says that an earlier fact no longer holds."""
        return self.state == _WITHDRAWN

    @property
    def field(self) -> str:
        """Its field in the board's hash."""
        return field_of(self.kind, self.subject, self.by)

    def holds(self, now: float) -> bool:
        """Whether it holds at a time of the clock that its own times are in."""
        return not self.withdrawn and (self.until is None or now < self.until)

    def outlasts(self, later: Fact) -> bool:
        """Whether a fact told later is a wait or drain that ends no later than this one: then this one stands."""
        if self.kind not in _LASTING or self.withdrawn or later.withdrawn or self.mark != later.mark:
            return False
        return self.until is None or (later.until is not None and self.until >= later.until)

    def shifted(self, by_s: float) -> Fact:
        """The same fact in the time of a clock that is so many seconds ahead."""
        return replace(self, at=self.at + by_s, until=None if self.until is None else self.until + by_s)


def field_of(kind: FactKind, subject: str, by: str) -> str:
    """The field of a fact in the board's hash. Every replica has its own breakers, and so its own fields for them."""
    return f"{kind} {subject} {by}" if kind == "open" else f"{kind} {subject}"


def withdrawal(kind: FactKind, subject: str, *, until: float, at: float, by: str) -> Fact:
    """Takes back a fact; kept until a time, so that a replica that has not heard about it cannot bring it back."""
    return Fact(kind, subject, _WITHDRAWN, "", until, at, by)


def fit(fact: Fact) -> Fact:
    """The fact with a reason that is short enough and can be encoded, and without an end that never comes."""
    reason = fact.reason[:REASON_MAX_CHARS].encode("utf-8", "replace").decode()
    return replace(fact, reason=reason, until=fact.until if fact.until is not None and fact.until < _MAX_TIME else None)


def encode(fact: Fact) -> bytes:
    """The fact as JSON."""
    return orjson.dumps(fact)


def decode(field: str, text: bytes) -> Fact | None:
    """The fact in a field of the board; None for anything else, or for a fact that belongs in another field.

    Members of a later version are ignored, and those that an earlier version lacks have their defaults, so that
    replicas of two versions understand each other.
    """
    try:
        document = orjson.loads(text)
    except ValueError:
        return None
    if not isinstance(document, dict) or not _is_fact(document):
        return None
    names = [member.name for member in fields(Fact) if member.name not in _OPTIONAL or member.name in document]
    fact = Fact(**{name: document[name] for name in names})
    return fact if fact.field == field else None


def _is_fact(document: Mapping[str, Any]) -> bool:
    texts = [document.get(name) for name in ("kind", "subject", "state", "reason", "by", "mark")]
    times: list[Any] = [document.get("at"), 0 if document.get("until") is None else document["until"]]
    return (
        "until" in document
        and all(isinstance(text, str) and len(text) <= _TEXT_MAX_CHARS for text in texts)
        and all(type(time) in (int, float) and 0 <= time < _MAX_TIME for time in times)
        and document["kind"] in _KINDS
        and document["subject"] != ""
        and isinstance(document.get("failed_once", False), bool)
    )
