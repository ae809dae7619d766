"""The probe schedule: regular rounds, sooner for what is new or broken, and never more than limits pay for.

Pure: times are readings of the monotonic clock in seconds, handed in with every call.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from healthcheck.budget import JITTER, Grant, ProbeBudget, grants, keys
from healthcheck.store import NEVER, Verdicts
from healthcheck.subjects import Subject

AGAIN_S = 15.0  # after a first failure, and while a breaker is open
FAILURES_TO_BE_DOWN = 2
_GAP_S = 60.0  # between the models of one provider, so that they are not all probed at once after a start
_ECHO_S = 10.0  # no two probes of one model are so close: a verdict heard within it is that of a known probe

ProbeOutcome = Literal["answered", "failed", "nothing"]
Recheck = Literal["no", "soon", "later"]
"""Whether a failed probe is repeated before it counts: soon, or later, when limits pay for another probe."""
DueReason = Literal["again", "new", "open", "due"]
_URGENCY: Mapping[DueReason, int] = {"again": 0, "new": 1, "open": 2, "due": 3}


@dataclass(frozen=True, slots=True)
class ProbeCall:
    """One call to make: ask a model for an OK, or (`listing`) a provider for the models it has.

    `name` is the id of the subject or of the provider, `subjects` are those that the answer tells about.
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
class _ProbeState:
    """What is remembered about a probe call between two times that it is made; `out` while it is under way."""

    jitter: float
    asked_at: float = NEVER
    again_at: float | None = None
    failures: int = 0
    new: bool = False
    out: bool = False
    open_since: float | None = None


class Schedule:
    """Hands out the calls that are due, each charged to the limits it takes from.

    `random` gives numbers from 0 to 1; `verdicts` tells what other replicas and real traffic have found already.
    """

    def __init__(self, random: Callable[[], float], verdicts: Verdicts) -> None:
        self._random = random
        self._verdicts = verdicts
        self._subjects: tuple[Subject, ...] | None = None
        self._calls: tuple[ProbeCall, ...] = ()
        self._telling: Mapping[str, ProbeCall] = {}  # subject id → the call that tells about it
        self._states: dict[str, _ProbeState] = {}
        self._provider_asked: dict[str, float] = {}
        self._budget = ProbeBudget()

    def see(self, subjects: tuple[Subject, ...], now: float) -> None:
        """Takes in what can be probed now. A subject that comes later than at the start is new, and due at once."""
        if subjects == self._subjects:
            return
        first, self._subjects = self._subjects is None, subjects
        calls = tuple(_calls(subjects))
        self._telling = {subject.id: call for call in calls for subject in call.subjects}
        self._verdicts.expect(
            {subject.id: subject.interval_s for subject in subjects}
            | {subject_id: call.interval_s for subject_id, call in self._telling.items()}
        )
        self._states = {call.name: self._states.get(call.name) or self._opened(call, not first) for call in calls}
        self._provider_asked = {
            # A random start, so that not all providers are probed in the same second either.
            call.provider: self._provider_asked.get(
                call.provider, now - call.gap_s * self._random() if first else NEVER
            )
            for call in calls
        }
        self._calls = tuple(call for call in calls if call.eligible)
        self._budget.forget_spent(now)

    def take(self, now: float, free: int, open_seats: Collection[str]) -> list[ProbeCall]:
        """At most `free` calls to make now, the most urgent first; each is under way until it is settled."""
        taken: list[ProbeCall] = []
        for why, call in sorted(self._ready(now, open_seats), key=self._urgency):
            if len(taken) >= free:
                break
            if self._states[call.name].out or not self._may(why, call, now):
                continue
            self._budget.charge(call.grants, now, extra=why == "open")
            self._begin(call, now)
            if why == "due":
                self._provider_asked[call.provider] = now
            taken.append(call)
        return taken

    def every_call(self, now: float) -> list[ProbeCall]:
        """All calls that are not under way, because a person asks: charged, whether or not a limit pays for them."""
        calls = [call for call in self._calls if not self._states[call.name].out]
        for call in calls:
            self._budget.charge(call.grants, now, extra=False)
            self._begin(call, now)
        return calls

    def settle(self, call: ProbeCall, now: float, outcome: ProbeOutcome) -> Recheck:
        """Takes in what came of a call; returns whether it has failed for the first time and will be repeated."""
        state = self._states.get(call.name)
        if state is None:
            return "soon"
        state.out = False
        state.asked_at = now
        state.jitter = self._jitter()
        state.again_at = None
        if outcome == "answered":
            state.failures = 0
        if outcome != "failed":
            return "no"
        state.failures += 1
        if state.failures >= FAILURES_TO_BE_DOWN:
            return "no"
        state.again_at = now + AGAIN_S
        return "soon" if self._budget.affords(call.grants, now, extra=False) else "later"

    def heard(self, subject_id: str) -> None:
        """Charges a probe that another replica made, whose verdict `verdicts` has taken in."""
        call, at = self._telling.get(subject_id), self._verdicts.told_at(subject_id)
        if call is None:
            return
        state = self._states[call.name]
        if state.out or at - state.asked_at < _ECHO_S:
            return
        self._budget.charge(call.grants, at, extra=False)
        state.asked_at = at
        state.again_at = None
        state.failures = self._known_failures(subject_id)

    # --- private ------------------------------------------------------------------------------------------------------

    def _ready(self, now: float, open_seats: Collection[str]) -> Iterator[tuple[DueReason, ProbeCall]]:
        for call in self._calls:
            state = self._states[call.name]
            if state.out:
                continue
            succeeded_at = [self._verdicts.succeeded_at(subject.id) for subject in call.subjects if subject.eligible]
            if max(succeeded_at) >= state.asked_at > NEVER:
                state.failures, state.again_at = 0, None
            last = max(state.asked_at, min(succeeded_at))
            if state.again_at is not None and now >= state.again_at:
                yield "again", call
            if state.new and last == NEVER:
                yield "new", call
            if not any(subject.id in open_seats for subject in call.subjects):
                state.open_since = None
            elif state.open_since is None:
                state.open_since = now
            elif now - max(state.asked_at, state.open_since) >= AGAIN_S:
                yield "open", call
            if now >= last + call.interval_s * state.jitter:
                yield "due", call

    def _may(self, why: DueReason, call: ProbeCall, now: float) -> bool:
        if why == "due" and now - self._provider_asked[call.provider] < call.gap_s:
            return False
        return self._budget.affords(call.grants, now, extra=why == "open")

    def _urgency(self, ready: tuple[DueReason, ProbeCall]) -> tuple[int, float]:
        why, call = ready
        return _URGENCY[why], self._states[call.name].asked_at

    def _begin(self, call: ProbeCall, now: float) -> None:
        state = self._states[call.name]
        state.out = True
        state.new = False
        state.asked_at = now

    def _opened(self, call: ProbeCall, new: bool) -> _ProbeState:
        asked_at = max(self._verdicts.told_at(subject.id) for subject in call.subjects)
        if asked_at > NEVER:
            self._budget.charge(call.grants, asked_at, extra=False)
        failures = self._known_failures(call.subjects[0].id)
        return _ProbeState(self._jitter(), asked_at, failures=failures, new=new and asked_at == NEVER)

    def _known_failures(self, subject_id: str) -> int:
        known = self._verdicts.of(subject_id)
        return FAILURES_TO_BE_DOWN if known.verdict == "down" else int(known.failed_once)

    def _jitter(self) -> float:
        return 1 - JITTER + 2 * JITTER * self._random()


def _calls(subjects: Iterable[Subject]) -> Iterator[ProbeCall]:
    """One call per model, or one per provider where its listing tells about all of its models."""
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


def _call(name: str, subjects: tuple[Subject, ...], granted: tuple[Grant, ...], neighbours: int) -> Iterator[ProbeCall]:
    one = subjects[0]
    interval_s = max([one.interval_s, *(grant.pace_s for grant in granted)])
    if math.isfinite(interval_s):
        gap_s = min(_GAP_S, one.interval_s / neighbours)
        yield ProbeCall(name, one.provider, subjects, one.mode == "models", granted, interval_s, gap_s)
