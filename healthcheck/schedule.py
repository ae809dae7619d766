"""When each model is looked at: regularly, sooner where something is new or broken, and only as limits pay for it.

Pure: times are readings of the monotonic clock, handed in with every question.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from healthcheck.budget import JITTER, Grant, Ledger, grants, keys
from healthcheck.store import NEVER, Verdicts
from healthcheck.subjects import Subject

AGAIN_S = 15.0  # after a first failure, and while a breaker is open
FAILURES_TO_BE_DOWN = 2
_GAP_S = 60.0  # a provider's models are looked at one after the other, also when all begin together
_ECHO_S = 10.0  # no two probes of one model are as near as that: what is heard within it is one that is known

Outcome = Literal["answered", "failed", "nothing"]
Again = Literal["no", "soon", "later"]  # whether a failure is looked at once more, at once or when limits pay for it
Why = Literal["again", "new", "open", "due"]
_URGENCY: Mapping[Why, int] = {"again": 0, "new": 1, "open": 2, "due": 3}


@dataclass(frozen=True, slots=True)
class Call:
    """One thing to ask: a model for an OK, or (`listing`) a provider for the models it has.

    `name` is the subject's or the provider's id, `subjects` all that the answer tells of.
    """

    name: str
    provider: str
    subjects: tuple[Subject, ...]
    listing: bool
    grants: tuple[Grant, ...]
    interval_s: float
    gap_s: float

    @property
    def eligible(self) -> bool:
        """Whether it may be made now."""
        return any(subject.eligible for subject in self.subjects)


@dataclass(slots=True)
class _Record:
    """What is remembered of a call's subjects between two calls."""

    jitter: float
    asked_at: float = NEVER
    again_at: float | None = None
    failures: int = 0
    new: bool = False
    out: bool = False
    open_since: float | None = None


class Schedule:
    """Hands out the calls that are due, each one counted against the limits it takes from.

    `random` gives numbers from 0 to 1; `verdicts` tells what is known already, of other replicas or real traffic.
    """

    def __init__(self, random: Callable[[], float], verdicts: Verdicts) -> None:
        self._random = random
        self._verdicts = verdicts
        self._subjects: tuple[Subject, ...] | None = None
        self._calls: tuple[Call, ...] = ()
        self._telling: Mapping[str, Call] = {}  # subject id → the call that tells of it
        self._records: dict[str, _Record] = {}
        self._provider_asked: dict[str, float] = {}
        self._ledger = Ledger()

    def see(self, subjects: tuple[Subject, ...], now: float) -> None:
        """Takes in what there is to look at now. What comes later than at the start is new, and due at once."""
        if subjects == self._subjects:
            return
        first, self._subjects = self._subjects is None, subjects
        calls = tuple(_calls(subjects))
        self._telling = {subject.id: call for call in calls for subject in call.subjects}
        self._verdicts.expect(
            {subject.id: subject.interval_s for subject in subjects}
            | {subject_id: call.interval_s for subject_id, call in self._telling.items()}
        )
        self._records = {call.name: self._records.get(call.name) or self._opened(call, not first) for call in calls}
        self._provider_asked = {
            # Providers do not begin in the same second either.
            call.provider: self._provider_asked.get(
                call.provider, now - call.gap_s * self._random() if first else NEVER
            )
            for call in calls
        }
        self._calls = tuple(call for call in calls if call.eligible)
        self._ledger.forget_spent(now)

    def take(self, now: float, free: int, open_seats: Collection[str]) -> list[Call]:
        """At most `free` calls to make now, the most urgent first. Each is out until it is settled."""
        taken: list[Call] = []
        for why, call in sorted(self._ready(now, open_seats), key=self._urgency):
            if len(taken) >= free:
                break
            if self._records[call.name].out or not self._may(why, call, now):
                continue
            self._ledger.charge(call.grants, now, extra=why == "open")
            self._begin(call, now)
            if why == "due":
                self._provider_asked[call.provider] = now
            taken.append(call)
        return taken

    def every_call(self, now: float) -> list[Call]:
        """All calls that are not out, because a person asks: counted, whether or not a limit pays for them."""
        calls = [call for call in self._calls if not self._records[call.name].out]
        for call in calls:
            self._ledger.charge(call.grants, now, extra=False)
            self._begin(call, now)
        return calls

    def settle(self, call: Call, now: float, outcome: Outcome) -> Again:
        """Takes in what came of a call; whether it failed for the first time and is made again."""
        record = self._records.get(call.name)
        if record is None:
            return "soon"
        record.out = False
        record.asked_at = now
        record.jitter = self._jitter()
        record.again_at = None
        if outcome == "answered":
            record.failures = 0
        if outcome != "failed":
            return "no"
        record.failures += 1
        if record.failures >= FAILURES_TO_BE_DOWN:
            return "no"
        record.again_at = now + AGAIN_S
        return "soon" if self._ledger.affords(call.grants, now, extra=False) else "later"

    def heard(self, subject_id: str) -> None:
        """Counts a probe that another replica made, whose verdict the store has taken in."""
        call, at = self._telling.get(subject_id), self._verdicts.told_at(subject_id)
        if call is None:
            return
        record = self._records[call.name]
        if record.out or at - record.asked_at < _ECHO_S:
            return
        self._ledger.charge(call.grants, at, extra=False)
        record.asked_at = at
        record.again_at = None
        record.failures = self._known_failures(subject_id)

    # --- private ------------------------------------------------------------------------------------------------------

    def _ready(self, now: float, open_seats: Collection[str]) -> Iterator[tuple[Why, Call]]:
        for call in self._calls:
            record = self._records[call.name]
            if record.out:
                continue
            succeeded_at = [self._verdicts.succeeded_at(subject.id) for subject in call.subjects if subject.eligible]
            if max(succeeded_at) >= record.asked_at > NEVER:
                record.failures, record.again_at = 0, None
            last = max(record.asked_at, min(succeeded_at))
            if record.again_at is not None and now >= record.again_at:
                yield "again", call
            if record.new and last == NEVER:
                yield "new", call
            if not any(subject.id in open_seats for subject in call.subjects):
                record.open_since = None
            elif record.open_since is None:
                record.open_since = now
            elif now - max(record.asked_at, record.open_since) >= AGAIN_S:
                yield "open", call
            if now >= last + call.interval_s * record.jitter:
                yield "due", call

    def _may(self, why: Why, call: Call, now: float) -> bool:
        if why == "due" and now - self._provider_asked[call.provider] < call.gap_s:
            return False
        return self._ledger.affords(call.grants, now, extra=why == "open")

    def _urgency(self, ready: tuple[Why, Call]) -> tuple[int, float]:
        why, call = ready
        return _URGENCY[why], self._records[call.name].asked_at

    def _begin(self, call: Call, now: float) -> None:
        record = self._records[call.name]
        record.out = True
        record.new = False
        record.asked_at = now

    def _opened(self, call: Call, new: bool) -> _Record:
        asked_at = max(self._verdicts.told_at(subject.id) for subject in call.subjects)
        if asked_at > NEVER:
            self._ledger.charge(call.grants, asked_at, extra=False)
        failures = self._known_failures(call.subjects[0].id)
        return _Record(self._jitter(), asked_at, failures=failures, new=new and asked_at == NEVER)

    def _known_failures(self, subject_id: str) -> int:
        known = self._verdicts.of(subject_id)
        return FAILURES_TO_BE_DOWN if known.verdict == "down" else int(known.failed_once)

    def _jitter(self) -> float:
        return 1 - JITTER + 2 * JITTER * self._random()


def _calls(subjects: Iterable[Subject]) -> Iterator[Call]:
    """One call per model, or one per provider where its listing tells of all."""
    generating = [subject for subject in subjects if subject.mode == "generate"]
    asked = [subject for subject in generating if subject.eligible]
    neighbours = Counter(subject.provider for subject in asked)
    sharers = Counter(key for subject in asked for key, _ in keys(subject, listing=False))
    for subject in generating:
        granted = tuple(grants(subject, listing=False, sharers=sharers))
        yield from _call(subject.id, (subject,), granted, max(1, neighbours[subject.provider]))
    listed: dict[str, list[Subject]] = {}
    for subject in subjects:
        if subject.mode == "models":
            listed.setdefault(subject.provider, []).append(subject)
    for provider, together in listed.items():
        yield from _call(provider, tuple(together), tuple(grants(together[0], listing=True, sharers={})), 1)


def _call(name: str, subjects: tuple[Subject, ...], granted: tuple[Grant, ...], neighbours: int) -> Iterator[Call]:
    one = subjects[0]
    interval_s = max([one.interval_s, *(grant.pace_s for grant in granted)])
    if math.isfinite(interval_s):
        gap_s = min(_GAP_S, one.interval_s / neighbours)
        yield Call(name, one.provider, subjects, one.mode == "models", granted, interval_s, gap_s)
