"""What is known about every model's health: the latest verdict or real success, until it is too old."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from healthcheck.verdicts import Verdict

NEVER = float("-inf")
FRESH_SUCCESS_S = 60.0  # for so long no probe can contradict a success of real traffic
_GOOD_FOR_INTERVALS = 2
_DEFAULT_INTERVAL_S = 300.0
_MAX_SUBJECTS = 10_000  # a bound, since verdicts from other replicas may name any subject

_Value = TypeVar("_Value")


class Verdicts:
    """Takes in verdicts of all replicas and real successes, and tells how a model is now.

    Times come as Unix time in seconds and are kept as readings of the monotonic clock, so that a wall clock that is set
    makes nothing old or fresh.
    """

    def __init__(self, monotonic: Callable[[], float], wall: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._told: dict[str, tuple[float, Verdict]] = {}
        self._succeeded: dict[str, float] = {}
        self._intervals_s: Mapping[str, float] = {}

    def expect(self, intervals_s: Mapping[str, float]) -> None:
        """Sets how often each subject is probed: a verdict is good for twice as long."""
        self._intervals_s = intervals_s

    def take(self, verdict: Verdict) -> None:
        """Takes in a verdict, unless a later one is known."""
        at = self._since(verdict.at)
        if at >= self.told_at(verdict.subject):
            _put(self._told, verdict.subject, (at, verdict))

    def succeeded(self, subject_id: str, at: float) -> None:
        """Takes in that the subject answered a real request at `at` (Unix time)."""
        _put(self._succeeded, subject_id, max(self._since(at), self.succeeded_at(subject_id)))

    def of(self, subject_id: str) -> Verdict:
        """How a subject is now, and as of when."""
        now = self._monotonic()
        told_at, told = self._told.get(subject_id, (NEVER, None))
        succeeded_at = self.succeeded_at(subject_id)
        if told is not None and told.verdict != "healthy" and told_at <= succeeded_at + FRESH_SUCCESS_S:
            told_at, told = NEVER, None
        if succeeded_at > told_at:
            told_at, told = succeeded_at, self._as_of(succeeded_at, now, subject_id)
        if told is None:
            return Verdict(subject_id, "unknown", self._wall(), "not probed yet")
        age_s = now - told_at
        good_for_s = _GOOD_FOR_INTERVALS * self._intervals_s.get(subject_id, _DEFAULT_INTERVAL_S)
        if age_s <= good_for_s or told.verdict == "unknown":
            return told
        outdated = f"the last verdict, {told.verdict}, is {age_s / 60:.0f} minutes old"
        return Verdict(subject_id, "unknown", self._wall(), outdated)

    def told_at(self, subject_id: str) -> float:
        """The monotonic reading at the latest verdict; -inf if there is none."""
        return self._told[subject_id][0] if subject_id in self._told else NEVER

    def succeeded_at(self, subject_id: str) -> float:
        """The monotonic reading at the latest real success; -inf if there is none."""
        return self._succeeded.get(subject_id, NEVER)

    def _since(self, at: float) -> float:
        # A clock that runs ahead of ours must not make a verdict that nothing later can replace.
        return self._monotonic() - max(0.0, self._wall() - at)

    def _as_of(self, at: float, now: float, subject_id: str) -> Verdict:
        return Verdict(subject_id, "healthy", self._wall() - (now - at), "answered a real request")


def _put(known: dict[str, _Value], subject_id: str, value: _Value) -> None:
    if subject_id not in known and len(known) >= _MAX_SUBJECTS:
        del known[next(iter(known))]
    known[subject_id] = value
