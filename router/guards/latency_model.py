"""What latency is usual for one kind of answer at one seat, and so what is late, overdue, or slower than before."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

HALF_LIFE_S = 30.0  # how fast unconfirmed knowledge fades, and how often a doubted seat gets a trial request
RECENT = 0.3  # the newest answer's weight in the recent means: two or three tell of a change, one alone does not
UNHEARD_S = 1.0  # what a seat without history is assumed to need while its first answer is awaited

# The usual latency is learned from the first answers as they come; later it adapts over hours. A seat that gets slow
# under full load must not be able to make slowness usual before anybody has noticed.
_FIRST = 256
_USUAL_HALF_LIFE_S = 3600.0
_ENOUGH = 5  # answers before anything is usual, and so before anything can be late

# Waiting times are about log-normal, so their spread is measured as a factor of the usual time. An attempt is late past
# 2.5 standard deviations, as one in 160 is; but not below 3 times the usual, lest a seat that never varied be doubted
# for a trifle. Answers have become slower when their recent mean is off by five standard deviations of such a mean, and
# by a factor of 5 at least. Both are capped at 16, so that 25 times slower is always noticed. Nothing below an eighth
# of a second is late: one stall of our own event loop may last as long, and at 20 requests a second it hits three.
_LATE_DEVIATIONS, _LATE_FACTOR = 2.5, 3.0
_SLOWER_DEVIATIONS, _SLOWER_FACTOR = 5.0 * math.sqrt(RECENT / (2 - RECENT)), 5.0  # EWMA variance: weight / (2 - weight)
_MOST_FACTOR = 16.0
_LEAST_LATE_S = 0.125
_SHORTEST_S = 1e-6  # the shortest time that has a logarithm here
_P95_DEVIATIONS = 1.645  # of a normal distribution
_SIGMA_PER_MEAN_DEVIATION = math.sqrt(math.pi / 2)  # a normal distribution's σ over its mean absolute deviation


@dataclass(slots=True)
class LatencyModel:
    """The latency of one kind of answer at one seat, streams or whole ones.

    Latency is the time to the first sign of life. Times are monotonic seconds; `log_` marks means of logarithms.
    """

    waiting: dict[int, float] = field(default_factory=dict)  # ticket → when the attempt began, oldest first
    sampled_at: float = 0.0
    recent_s: float | None = None
    log_recent: float = 0.0
    answers: int = 0
    log_usual: float = 0.0
    log_deviation: float = 0.0
    served: float = -math.inf  # when the youngest attempt began that was answered in time

    @property
    def late_s(self) -> float:
        """The latency from which on an answer is late; infinite before enough answers have come."""
        return self._bound_s(_LATE_DEVIATIONS, _LATE_FACTOR)

    @property
    def slow_s(self) -> float:
        """The recent mean latency from which on the seat has become slower."""
        return self._bound_s(_SLOWER_DEVIATIONS, _SLOWER_FACTOR)

    @property
    def overdue_s(self) -> float:
        """Past this wait, and with no younger attempt answered in time, the seat is at fault, not one long answer."""
        return max(self.late_s, self.slow_s)

    @property
    def slower(self) -> str | None:
        """By how much recent answers are slower than usual, in words; None if they are not."""
        if math.exp(self.log_recent) < self.slow_s:
            return None
        return f"{math.exp(self.log_recent - self.log_usual):.0f} times slower than usual"

    @property
    def p95_s(self) -> float | None:
        """The 95th percentile of the usual latency; None before enough answers have come."""
        if self.answers < _ENOUGH:
            return None
        return math.exp(self.log_usual + _P95_DEVIATIONS * _SIGMA_PER_MEAN_DEVIATION * self.log_deviation)

    def in_line(self) -> Iterator[int]:
        """The tickets of waiting attempts that no younger one has overtaken, oldest first."""
        return (ticket for ticket, began in self.waiting.items() if began > self.served)

    def is_overdue(self, now: float) -> bool:
        """Whether an attempt that nobody has overtaken has waited for `overdue_s`."""
        latest = now - self.overdue_s
        return any(began > self.served for began in itertools.takewhile(latest.__ge__, self.waiting.values()))

    def oldest_s(self, now: float) -> float:
        """How long the oldest unanswered attempt has waited."""
        return now - next(iter(self.waiting.values()), now)

    def expected_s(self, now: float) -> float:
        """The recent mean latency: it fades while the seat is idle, but counts in full while an attempt waits."""
        if self.waiting:
            return UNHEARD_S if self.recent_s is None else self.recent_s
        return (self.recent_s or 0.0) * _remaining(now - self.sampled_at, HALF_LIFE_S)

    def answered(self, took_s: float, now: float) -> None:
        """Takes in the latency of an answer."""
        self.answers += 1
        by_the_hour = 1 - _remaining(now - self.sampled_at, _USUAL_HALF_LIFE_S)
        weight = 1 / self.answers if self.answers <= _FIRST else min(by_the_hour, 1 / _FIRST)
        log_took = math.log(max(took_s, _SHORTEST_S))
        self.log_usual += weight * (log_took - self.log_usual)
        self.log_deviation += weight * (abs(log_took - self.log_usual) - self.log_deviation)
        self.waited(took_s, now)

    def waited(self, took_s: float, now: float) -> None:
        """Takes a wait into the recent means, whether or not it ended in an answer."""
        log_took = math.log(max(took_s, _SHORTEST_S))
        if self.recent_s is None:
            self.recent_s, self.log_recent = took_s, log_took
        else:
            weight = 1 - (1 - RECENT) * _remaining(now - self.sampled_at, HALF_LIFE_S)
            self.recent_s += weight * (took_s - self.recent_s)
            self.log_recent += RECENT * (log_took - self.log_recent)
        self.sampled_at = now

    def _bound_s(self, deviations: float, least_factor: float) -> float:
        if self.answers < _ENOUGH:
            return math.inf
        spread = math.exp(deviations * _SIGMA_PER_MEAN_DEVIATION * self.log_deviation)
        return max(_LEAST_LATE_S, math.exp(self.log_usual) * min(max(spread, least_factor), _MOST_FACTOR))


def _remaining(idle_s: float, half_life_s: float) -> float:
    """The part that is left of something that halves every half-life."""
    return math.exp2(-idle_s / half_life_s)
