"""Latency of each seat now: what to choose by among seats of equal rank, and which seats to doubt.

Measured is the time to the first sign of life. Streams are kept apart from whole answers: the first token of a stream
comes in a fraction of the time that a whole answer takes, and in one estimate each kind would make the other look
late. Their costs can still be compared, since both are seconds of a caller's waiting.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection
from dataclasses import dataclass, field

from router.core.clock import Clock
from router.guards.breaker import Evidence
from router.guards.latency_model import HALF_LIFE_S, RECENT, UNHEARD_S, LatencyModel

_WITNESSES = 2  # so many attempts stay at a silent seat to see how its silence ends: one may have been lost by itself


class LatencyTracker:
    """The latency of all seats, by seat id. Every attempt is told with `began` and, whatever came of it, `ended`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seats: dict[str, _SeatLatency] = {}
        self._under_way: dict[int, tuple[_SeatLatency, LatencyModel]] = {}
        self._tickets = itertools.count()

    def began(self, seat_id: str, *, streamed: bool = False) -> int:
        """An attempt has begun; returns the ticket under which its further course is told."""
        seat = self._seats.setdefault(seat_id, _SeatLatency())
        model = seat.model(streamed)
        ticket = next(self._tickets)
        model.waiting[ticket] = self._clock.monotonic()
        self._under_way[ticket] = seat, model
        return ticket

    def first_token(self, ticket: int) -> None:
        """The attempt's first sign of life. Where none is told, the end of the answer counts as such."""
        seat, model = self._under_way[ticket]
        began = model.waiting.pop(ticket, None)
        if began is not None:
            seat.answered(model, began, self._clock.monotonic())

    def ended(self, ticket: int, evidence: Evidence) -> None:
        """The attempt is over. `nothing` leaves the estimates alone; a silence that no other outlasts stays a doubt."""
        seat, model = self._under_way.pop(ticket)
        began = model.waiting.pop(ticket, None)
        now = self._clock.monotonic()
        if evidence != "nothing":
            seat.error_rate += RECENT * ((evidence == "failure") - seat.error_rate)
        if evidence == "ok":
            seat.answered(model, began, now)
        elif began is not None:
            seat.unanswered(model, began, now, failed=evidence == "failure")

    def cost_s(self, seat_id: str, *, streamed: bool = False) -> float:
        """Seconds that a caller would wait there, raised by errors and by the attempts waiting; 0 invites a first try.

        Peak EWMA (as in Finagle and linkerd): never less than the oldest unanswered attempt of this kind has waited.
        """
        seat = self._seats.get(seat_id)
        if seat is None:
            return 0.0
        model = seat.model(streamed)
        now = self._clock.monotonic()
        return max(model.expected_s(now) * (1 + seat.error_rate), model.oldest_s(now)) * (1 + seat.waiting)

    def p95_s(self, seat_id: str, *, streamed: bool = False) -> float | None:
        """The 95th percentile of the seat's usual latency; None before enough answers have come."""
        seat = self._seats.get(seat_id)
        return None if seat is None else seat.model(streamed).p95_s

    def late_s(self, ticket: int) -> float:
        """The wait from which on the attempt is late; infinite before enough answers have come."""
        _, model = self._under_way[ticket]
        return model.late_s

    def in_vain(self, ticket: int) -> bool:
        """Whether the attempt waits at a seat that answers nobody any more: it is late, and so are older ones.

        Never true for the two oldest, which stay as witnesses: they hear it when the seat speaks again, and else the
        breaker counts their failures. Nor for an attempt that a younger one has overtaken: a long answer among others
        is no silence.
        """
        seat, model = self._under_way[ticket]
        began, now = model.waiting.get(ticket), self._clock.monotonic()
        if began is None or began <= model.served:
            return False
        hopeless = seat.silent_s(began, now) >= model.late_s or now - began >= model.overdue_s
        return hopeless and ticket not in itertools.islice(model.in_line(), _WITNESSES)

    def doubt(self, seat_id: str) -> str | None:
        """Why every seat without doubts should be asked first, or None. Every half-life the seat gets a trial."""
        seat = self._seats.get(seat_id)
        return seat.doubt_now(self._clock.monotonic()) if seat else None

    def keep_only(self, seat_ids: Collection[str]) -> None:
        """After a reload: forgets all other seats."""
        self._seats = {seat_id: seat for seat_id, seat in self._seats.items() if seat_id in seat_ids}


@dataclass(slots=True)
class _SeatLatency:
    """One seat: the models of its two kinds of answers, and the doubt that both contribute to."""

    streams: LatencyModel = field(default_factory=LatencyModel)
    wholes: LatencyModel = field(default_factory=LatencyModel)
    error_rate: float = 0.0
    heard_at: float = -math.inf
    doubt: str | None = None
    doubted_at: float = 0.0

    def model(self, streamed: bool) -> LatencyModel:
        """The model of its streams, or of its whole answers."""
        return self.streams if streamed else self.wholes

    @property
    def waiting(self) -> int:
        """Unanswered attempts in flight."""
        return len(self.streams.waiting) + len(self.wholes.waiting)

    def doubt_now(self, now: float) -> str | None:
        """See `LatencyTracker.doubt`."""
        for model in (self.streams, self.wholes):
            oldest_s = model.oldest_s(now)
            if oldest_s < model.late_s:
                continue
            silent_s = self.silent_s(now - oldest_s, now)
            if silent_s >= model.late_s:
                return f"silent for {silent_s:.1f} s"
            if model.is_overdue(now):
                return "no request is answered in time"
        if self.doubt is None or not self._is_due_a_trial(now):
            return self.doubt
        return "a trial request is under way" if self.waiting else None

    def silent_s(self, began: float, now: float) -> float:
        """How long an attempt has waited while nothing else was heard: one long answer among others is no silence."""
        return now - max(began, self.heard_at)

    def answered(self, model: LatencyModel, began: float | None, now: float) -> None:
        """A sign of life; `began` is None when it was not the attempt's first."""
        self.heard_at = now
        if began is None:
            return
        took_s = now - began
        in_time = took_s < model.late_s
        if in_time:
            model.served = max(model.served, began)
        if in_time and self.doubt and self._is_due_a_trial(now):
            model.recent_s = None  # its past slowness is not held against a seat that answers in time now
        model.answered(took_s, now)
        if model.slower:
            self._doubt(model.slower, now)
        elif in_time:
            self.doubt = None
        else:
            self._still_doubtful(now)

    def unanswered(self, model: LatencyModel, began: float, now: float, *, failed: bool) -> None:
        """An attempt has ended without a sign of life; its silence stays a doubt unless an older one outlasts it."""
        silent_s = self.silent_s(began, now)
        outlasted = not failed and model.oldest_s(now) >= now - began
        if failed:
            # A quick failure is no quick answer: it counts as at least the time that an answer takes.
            model.waited(max(now - began, UNHEARD_S if model.recent_s is None else model.recent_s), now)
            self._still_doubtful(now)
        if silent_s >= model.late_s and not outlasted:
            self._doubt(f"was silent for {silent_s:.1f} s", now)
        elif failed and model.slower:
            self._doubt(model.slower, now)

    def _doubt(self, reason: str, now: float) -> None:
        self.doubt, self.doubted_at = reason, now

    def _still_doubtful(self, now: float) -> None:
        if self.doubt:
            self.doubted_at = now

    def _is_due_a_trial(self, now: float) -> bool:
        return now - self.doubted_at >= HALF_LIFE_S
