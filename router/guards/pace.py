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

from router.clock import Clock
from router.guards.breaker import Outcome

_HALF_LIFE_S = 30.0  # how soon what nobody confirms is forgotten: the rhythm in which a doubted seat has another try
_RECENT = 0.3  # the newest answer's weight in the recent means: two or three tell of a change, one alone does not
_UNHEARD_S = 1.0  # what a seat without history is taken to need while its first answer is awaited

# What is usual is learned from the first answers as they come; later it changes by the hour. A seat that gets slow
# under full load must not be able to make slowness usual before anybody has noticed.
_FIRST = 256
_USUAL_HALF_LIFE_S = 3600.0
_ENOUGH = 5  # answers before anything is usual, and so before anything can be late

# Waiting times are about log-normal, so their spread is measured in factors of the usual time. An attempt is late past
# 2.5 standard deviations, as one in 160 is; but not below 3 times the usual, lest a seat that never varied be doubted
# for little. Answers have become slower when their recent mean is off by five deviations of such a mean, and by a
# factor of 5 at least. Both end at 16, so that 25 times slower is always noticed. Nothing below an eighth of a second
# is late: one busy moment of ours may last as long, and at 20 requests a second it costs three of them.
_LATE_DEVIATIONS, _LATE_FACTOR = 2.5, 3.0
_SLOWER_DEVIATIONS, _SLOWER_FACTOR = 5.0 * math.sqrt(_RECENT / (2 - _RECENT)), 5.0
_MOST_FACTOR = 16.0
_LEAST_LATE_S = 0.125
_SHORTEST_S = 1e-6  # of which there is a logarithm
_P95_DEVIATIONS = 1.645  # of a normal distribution
_SIGMA_PER_MEAN_DEVIATION = math.sqrt(math.pi / 2)


class Pace:
    """The pace of all seats, by seat id. Every attempt is told of with `began` and, whatever came of it, `ended`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seats: dict[str, _Seat] = {}
        self._under_way: dict[int, tuple[_Seat, _Kind]] = {}
        self._tickets = itertools.count()

    def began(self, seat_id: str, *, streamed: bool = False) -> int:
        """An attempt has been sent; returns the ticket by which its further fate is told."""
        seat = self._seats.setdefault(seat_id, _Seat())
        kind = seat.streams if streamed else seat.wholes
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
        """The attempt is over. `nothing` leaves the estimates alone, but a silence that was too long stays a doubt."""
        seat, kind = self._under_way.pop(ticket)
        began = kind.waiting.pop(ticket, None)
        now = self._clock.monotonic()
        if outcome != "nothing":
            seat.error_rate += _RECENT * ((outcome == "failure") - seat.error_rate)
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
        kind = seat.streams if streamed else seat.wholes
        now = self._clock.monotonic()
        return max(kind.expected_s(now) * (1 + seat.error_rate), kind.oldest_s(now)) * (1 + seat.waiting)

    def p95_s(self, seat_id: str, *, streamed: bool = False) -> float | None:
        """Of twenty first signs of life, nineteen have come by then; None before there were enough to say so."""
        seat = self._seats.get(seat_id)
        kind = None if seat is None else seat.streams if streamed else seat.wholes
        if kind is None or kind.answers < _ENOUGH:
            return None
        return math.exp(kind.log_usual + _P95_DEVIATIONS * _SIGMA_PER_MEAN_DEVIATION * kind.log_deviation)

    def doubtful(self, seat_id: str) -> str | None:
        """Why every sound seat should be asked before this one, or None. It has a try again every half-life."""
        seat = self._seats.get(seat_id)
        return seat.doubtful(self._clock.monotonic()) if seat else None

    def forget(self, keep: Collection[str]) -> None:
        """After a reload: nothing is kept of seats that are not in `keep`."""
        self._seats = {seat_id: seat for seat_id, seat in self._seats.items() if seat_id in keep}


@dataclass(slots=True)
class _Kind:
    """Answers of one kind at one seat, streams or whole ones. Times are monotonic, `log_` means of logarithms."""

    waiting: dict[int, float] = field(default_factory=dict)  # ticket → when it began, oldest first
    sampled_at: float = 0.0
    recent_s: float | None = None
    log_recent: float = 0.0
    answers: int = 0
    log_usual: float = 0.0
    log_deviation: float = 0.0

    @property
    def late_s(self) -> float:
        """An answer that takes so long is late."""
        if self.answers < _ENOUGH:
            return math.inf
        return max(_LEAST_LATE_S, math.exp(self.log_usual) * self._factor(_LATE_DEVIATIONS, _LATE_FACTOR))

    @property
    def slower(self) -> str | None:
        """In words, when recent answers take far longer than usual."""
        factor = math.exp(self.log_recent - self.log_usual)
        late = self.answers >= _ENOUGH and self.log_recent >= math.log(_LEAST_LATE_S)
        if not late or factor < self._factor(_SLOWER_DEVIATIONS, _SLOWER_FACTOR):
            return None
        return f"answers {factor:.0f} times slower than it did"

    def oldest_s(self, now: float) -> float:
        """How long the oldest unanswered attempt has waited."""
        return now - next(iter(self.waiting.values()), now)

    def expected_s(self, now: float) -> float:
        """The recent mean: it fades while nobody asks, but while somebody waits it counts in full."""
        if self.waiting:
            return _UNHEARD_S if self.recent_s is None else self.recent_s
        return (self.recent_s or 0.0) * _remaining(now - self.sampled_at, _HALF_LIFE_S)

    def answered(self, took_s: float, now: float) -> None:
        """Takes in how long an answer took."""
        self.answers += 1
        by_the_hour = 1 - _remaining(now - self.sampled_at, _USUAL_HALF_LIFE_S)
        weight = 1 / self.answers if self.answers <= _FIRST else min(by_the_hour, 1 / _FIRST)
        log_took = math.log(max(took_s, _SHORTEST_S))
        self.log_usual += weight * (log_took - self.log_usual)
        self.log_deviation += weight * (abs(log_took - self.log_usual) - self.log_deviation)
        self.waited(took_s, now)

    def waited(self, took_s: float, now: float) -> None:
        """Takes a time into the recent means, whether or not an answer was the end of it."""
        log_took = math.log(max(took_s, _SHORTEST_S))
        if self.recent_s is None:
            self.recent_s, self.log_recent = took_s, log_took
        else:
            weight = 1 - (1 - _RECENT) * _remaining(now - self.sampled_at, _HALF_LIFE_S)
            self.recent_s += weight * (took_s - self.recent_s)
            self.log_recent += _RECENT * (log_took - self.log_recent)
        self.sampled_at = now

    def _factor(self, deviations: float, least: float) -> float:
        spread = math.exp(deviations * _SIGMA_PER_MEAN_DEVIATION * self.log_deviation)
        return min(max(spread, least), _MOST_FACTOR)


@dataclass(slots=True)
class _Seat:
    """One seat: its two kinds of answers, and the doubt that both have part in."""

    streams: _Kind = field(default_factory=_Kind)
    wholes: _Kind = field(default_factory=_Kind)
    error_rate: float = 0.0
    heard_at: float = -math.inf
    doubt: str | None = None
    doubted_at: float = 0.0

    @property
    def waiting(self) -> int:
        """Unanswered attempts in flight."""
        return len(self.streams.waiting) + len(self.wholes.waiting)

    def doubtful(self, now: float) -> str | None:
        """See `Pace.doubtful`."""
        for kind in (self.streams, self.wholes):
            silent_s = self._silent_s(now - kind.oldest_s(now), now)
            if silent_s >= kind.late_s:
                return f"silent for {silent_s:.1f} s"
        if self.doubt is None or not self._to_be_tried(now):
            return self.doubt
        return "is being tried again" if self.waiting else None

    def answered(self, kind: _Kind, began: float | None, now: float) -> None:
        """A sign of life; `began` is None when it was not the attempt's first."""
        self.heard_at = now
        if began is None:
            return
        took_s = now - began
        in_time = took_s < kind.late_s
        if in_time and self.doubt and self._to_be_tried(now):
            kind.recent_s = None  # what was slow then is not held against a seat that is in time now
        kind.answered(took_s, now)
        if kind.slower:
            self._doubt(kind.slower, now)
        elif in_time:
            self.doubt = None
        else:
            self._still_doubtful(now)

    def unanswered(self, kind: _Kind, began: float, now: float, *, failed: bool) -> None:
        """An attempt has ended without a sign of life."""
        silent_s = self._silent_s(began, now)
        if failed:
            # A failure may be quick, but is no quick answer: it counts as at least the time that an answer takes.
            kind.waited(max(now - began, _UNHEARD_S if kind.recent_s is None else kind.recent_s), now)
            self._still_doubtful(now)
        if silent_s >= kind.late_s:
            self._doubt(f"was silent for {silent_s:.1f} s", now)
        elif failed and kind.slower:
            self._doubt(kind.slower, now)

    def _doubt(self, reason: str, now: float) -> None:
        self.doubt, self.doubted_at = reason, now

    def _still_doubtful(self, now: float) -> None:
        if self.doubt:
            self.doubted_at = now

    def _silent_s(self, began: float, now: float) -> float:
        """How long an attempt has waited while nothing else was heard: one long answer among others is no silence."""
        return now - max(began, self.heard_at)

    def _to_be_tried(self, now: float) -> bool:
        return now - self.doubted_at >= _HALF_LIFE_S


def _remaining(idle_s: float, half_life_s: float) -> float:
    return math.exp2(-idle_s / half_life_s)
