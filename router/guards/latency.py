"""How fast each seat answers now: what to choose by among seats of equal rank, and which seats to doubt.

What is measured is the time to the first sign of life. Streams are kept apart from whole answers: the first token of
a stream comes in a fraction of the time that a whole answer takes, and in one estimate each kind would make the other
look late. Their costs can still be compared, since both are seconds of a caller's waiting.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection
from dataclasses import dataclass, field

from router.core.clock import Clock
from router.guards.breaker import Outcome
from router.guards.latency_model import HALF_LIFE_S, RECENT, UNHEARD_S, Kind

_WITNESSES = 2  # of those who wait at a silent seat, so many wait on: one may have been lost by itself


class Pace:
    """The pace of all seats, by seat id. Every attempt is told of with `began` and, whatever came of it, `ended`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seats: dict[str, _Seat] = {}
        self._under_way: dict[int, tuple[_Seat, Kind]] = {}
        self._tickets = itertools.count()

    def began(self, seat_id: str, *, streamed: bool = False) -> int:
        """An attempt has been sent; returns the ticket by which its further fate is told."""
        seat = self._seats.setdefault(seat_id, _Seat())
        kind = seat.kind(streamed)
        ticket = next(self._tickets)
        kind.waiting[ticket] = self._clock.monotonic()
        self._under_way[ticket] = seat, kind
        return ticket

    def first_token(self, ticket: int) -> None:
        """The first sign of life; from now on the attempt is not unanswered. Without it the end of an answer counts."""
        seat, kind = self._under_way[ticket]
        began = kind.waiting.pop(ticket, None)
        if began is not None:
            seat.answered(kind, began, self._clock.monotonic())

    def ended(self, ticket: int, outcome: Outcome) -> None:
        """The attempt is over. `nothing` leaves the estimates alone, but a silence nobody outlasts stays a doubt."""
        seat, kind = self._under_way.pop(ticket)
        began = kind.waiting.pop(ticket, None)
        now = self._clock.monotonic()
        if outcome != "nothing":
            seat.error_rate += RECENT * ((outcome == "failure") - seat.error_rate)
        if outcome == "ok":
            seat.answered(kind, began, now)
        elif began is not None:
            seat.unanswered(kind, began, now, failed=outcome == "failure")

    def cost(self, seat_id: str, *, streamed: bool = False) -> float:
        """Seconds that a caller would wait there, raised by errors and by how many are waiting; 0 is worth a try.

        Peak EWMA: never less than the oldest unanswered attempt of this kind has waited already.
        """
        seat = self._seats.get(seat_id)
        if seat is None:
            return 0.0
        kind = seat.kind(streamed)
        now = self._clock.monotonic()
        return max(kind.expected_s(now) * (1 + seat.error_rate), kind.oldest_s(now)) * (1 + seat.waiting)

    def p95_s(self, seat_id: str, *, streamed: bool = False) -> float | None:
        """Of twenty first signs of life, nineteen have come by then; None before there were enough to say so."""
        seat = self._seats.get(seat_id)
        return None if seat is None else seat.kind(streamed).p95_s

    def late_s(self, ticket: int) -> float:
        """An attempt that has waited so long is late; infinite before there were enough answers to say so."""
        _, kind = self._under_way[ticket]
        return kind.late_s

    def in_vain(self, ticket: int) -> bool:
        """Whether an attempt waits where nobody is answered any more: it is late, and so are older ones.

        Never for the oldest two: by them it is known when the seat speaks again, or that it fails. Nor for one that was
        overtaken: a long answer among others is no silence.
        """
        seat, kind = self._under_way[ticket]
        began, now = kind.waiting.get(ticket), self._clock.monotonic()
        if began is None or began <= kind.served:
            return False
        hopeless = seat.silent_s(began, now) >= kind.late_s or now - began >= kind.overdue_s
        return hopeless and ticket not in itertools.islice(kind.in_line(), _WITNESSES)

    def doubtful(self, seat_id: str) -> str | None:
        """Why every sound seat should be asked before this one, or None. It has a try again every half-life."""
        seat = self._seats.get(seat_id)
        return seat.doubtful(self._clock.monotonic()) if seat else None

    def forget(self, keep: Collection[str]) -> None:
        """After a reload: nothing is kept of seats that are not in `keep`."""
        self._seats = {seat_id: seat for seat_id, seat in self._seats.items() if seat_id in keep}


@dataclass(slots=True)
class _Seat:
    """One seat: its two kinds of answers, and the doubt that both have part in."""

    streams: Kind = field(default_factory=Kind)
    wholes: Kind = field(default_factory=Kind)
    error_rate: float = 0.0
    heard_at: float = -math.inf
    doubt: str | None = None
    doubted_at: float = 0.0

    def kind(self, streamed: bool) -> Kind:
        """What is known of its streams, or of its whole answers."""
        return self.streams if streamed else self.wholes

    @property
    def waiting(self) -> int:
        """Unanswered attempts in flight."""
        return len(self.streams.waiting) + len(self.wholes.waiting)

    def doubtful(self, now: float) -> str | None:
        """See `Pace.doubtful`."""
        for kind in (self.streams, self.wholes):
            oldest_s = kind.oldest_s(now)
            if oldest_s < kind.late_s:
                continue
            silent_s = self.silent_s(now - oldest_s, now)
            if silent_s >= kind.late_s:
                return f"silent for {silent_s:.1f} s"
            if kind.is_overdue(now):
                return "answers nobody in time"
        if self.doubt is None or not self._to_be_tried(now):
            return self.doubt
        return "is being tried again" if self.waiting else None

    def silent_s(self, began: float, now: float) -> float:
        """How long an attempt has waited while nothing else was heard: one long answer among others is no silence."""
        return now - max(began, self.heard_at)

    def answered(self, kind: Kind, began: float | None, now: float) -> None:
        """A sign of life; `began` is None when it was not the attempt's first."""
        self.heard_at = now
        if began is None:
            return
        took_s = now - began
        in_time = took_s < kind.late_s
        if in_time:
            kind.served = max(kind.served, began)
        if in_time and self.doubt and self._to_be_tried(now):
            kind.recent_s = None  # what was slow then is not held against a seat that is in time now
        kind.answered(took_s, now)
        if kind.slower:
            self._doubt(kind.slower, now)
        elif in_time:
            self.doubt = None
        else:
            self._still_doubtful(now)

    def unanswered(self, kind: Kind, began: float, now: float, *, failed: bool) -> None:
        """An attempt has ended without a sign of life; its silence stays a doubt unless an older one outlasts it."""
        silent_s = self.silent_s(began, now)
        outlasted = not failed and kind.oldest_s(now) >= now - began
        if failed:
            # A failure may be quick, but is no quick answer: it counts as at least the time that an answer takes.
            kind.waited(max(now - began, UNHEARD_S if kind.recent_s is None else kind.recent_s), now)
            self._still_doubtful(now)
        if silent_s >= kind.late_s and not outlasted:
            self._doubt(f"was silent for {silent_s:.1f} s", now)
        elif failed and kind.slower:
            self._doubt(kind.slower, now)

    def _doubt(self, reason: str, now: float) -> None:
        self.doubt, self.doubted_at = reason, now

    def _still_doubtful(self, now: float) -> None:
        if self.doubt:
            self.doubted_at = now

    def _to_be_tried(self, now: float) -> bool:
        return now - self.doubted_at >= HALF_LIFE_S
