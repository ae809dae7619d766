"""Circuit breakers, one per seat: too many failures open it, for longer each time, until one trial has succeeded.

pybreaker is the state machine, and is fed finished outcomes only: given a coroutine it would judge how that was
created, not how it ended. By itself it admits every waiting caller to a half-open circuit, counts only consecutive
failures, and reads the wall clock; so the single trial, the failure rate and the open times are kept here.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from pybreaker import STATE_CLOSED, STATE_OPEN, CircuitBreaker

from adapters.types import Secret
from router.core.block import Block
from router.core.clock import Clock
from router.core.events import Publish, StateChange
from router.core.registry import Breaker as Thresholds
from router.core.registry import Registry, Seat
from router.guards.rolling import LastOutcomes

Evidence = Literal["ok", "failure", "nothing"]
"""What the end of an attempt says about its seat: `nothing` for a caller's mistake, a limit, a cancellation."""

_RATE_WINDOW_S = 60.0
_JUDGED = 5  # times `min_calls`: among more calls, old answers would outweigh new failures
_CHANCE = 0.7  # of the variance: by how much a seat that fails at the rate itself may fall short of it by chance
_JITTER = 0.1  # so that replicas hit by the same outage do not all send their trial at the same moment
_TRIAL_MARGIN_S = 5.0  # a trial is given up as lost this long after its own time limit should have ended it
_TRIAL_LOOK_S = 1.0  # when to ask again while another request's trial is under way: most answers have begun by then
_NEVER_S = 1e9  # so that pybreaker's own clock never ends an open time
_OUTDATED = -1  # the generation of attempts at a seat as it was before a reload


@dataclass(frozen=True, slots=True)
class BreakerPermit:
    """Permission for one attempt. Its outcome counts only while the breaker is still in the same `generation`."""

    seat: Seat
    generation: int


@dataclass(slots=True)
class _SeatBreaker:
    machine: CircuitBreaker
    thresholds: Thresholds
    last: LastOutcomes
    generation: int  # a new one after every change of state and for every trial, unique among all breakers
    reason: str = ""
    open_s: float = 0.0  # how long it was open last, before jitter; 0 once the seat has recovered
    opened_at: float = -math.inf  # monotonic, as are the next two
    open_until: float = -math.inf
    trial_until: float = -math.inf  # when the half-open slot is free again at the latest


class Breakers:
    """The breakers of all seats, by seat id, each made at its first use; every change is published."""

    def __init__(self, clock: Clock, publish: Publish, rng: random.Random) -> None:
        self._clock = clock
        self._publish = publish
        self._rng = rng
        self._breakers: dict[str, _SeatBreaker] = {}
        self._generations = itertools.count()
        self._in_force: Registry | None = None

    def block(self, seat: Seat) -> Block | None:
        """Why the seat would be refused now, or None; takes no slot."""
        breaker = self._breakers.get(seat.id)
        if breaker is None or self._outdated(seat):
            return None
        return self._blocked(breaker)

    def admit(self, seat: Seat) -> BreakerPermit | Block:
        """Permission for one attempt, or why not. Half-open, it admits exactly one attempt until that is settled."""
        if self._outdated(seat):
            return BreakerPermit(seat, _OUTDATED)
        breaker = self._breakers.get(seat.id) or self._make(seat)
        block = self._blocked(breaker)
        if block:
            return block
        if breaker.machine.current_state != STATE_CLOSED:
            breaker.machine.half_open()
            breaker.generation = next(self._generations)
            breaker.trial_until = self._clock.monotonic() + seat.timeouts.total_s + _TRIAL_MARGIN_S
        return BreakerPermit(seat, breaker.generation)

    def settle(self, permit: BreakerPermit, evidence: Evidence) -> None:
        """Takes in how an attempt ended; attempts of an earlier generation are ignored."""
        breaker = self._breakers.get(permit.seat.id)
        if breaker is None or breaker.generation != permit.generation:
            return
        breaker.trial_until = -math.inf
        if evidence == "nothing":
            return
        failed = evidence == "failure"
        was_closed = breaker.machine.current_state == STATE_CLOSED
        _feed(breaker.machine, failed=failed)
        if breaker.machine.current_state == STATE_OPEN:
            failures = breaker.machine.fail_counter
            consecutive = f"{failures} consecutive failures" if failures > 1 else "1 failure"
            self._open(permit.seat.id, breaker, consecutive if was_closed else "the trial request failed")
        elif not was_closed:
            self._recovered(permit.seat.id, breaker)
        elif too_often := _too_often(breaker, failed=failed):
            breaker.machine.open()
            self._open(permit.seat.id, breaker, too_often)

    def bring_forward(self, seat_id: str, reason: str) -> None:
        """Makes an open breaker half-open now, so that the next call is its trial; closes nothing."""
        breaker = self._breakers.get(seat_id)
        if breaker is not None and self.state(seat_id) == "open":
            breaker.open_until = self._clock.monotonic()
            self._publish(StateChange(seat_id, "failing", reason, self._clock.wall(), by="breaker"))

    def state(self, seat_id: str) -> Literal["closed", "half-open", "open"]:
        """What the breaker would do with a call: half-open from the end of its open time on, before any call comes."""
        breaker = self._breakers.get(seat_id)
        if breaker is None or breaker.machine.current_state == STATE_CLOSED:
            return "closed"
        return "open" if self._clock.monotonic() < breaker.open_until else "half-open"

    def opened_at(self, seat_id: str) -> float:
        """The monotonic time at which a seat's breaker last opened; minus infinity if it never did."""
        breaker = self._breakers.get(seat_id)
        return breaker.opened_at if breaker else -math.inf

    def open_until(self) -> Mapping[str, float]:
        """When each breaker that is not closed becomes half-open, or became so (Unix time), by seat id."""
        return {
            seat_id: self._wall(breaker.open_until)
            for seat_id, breaker in self._breakers.items()
            if breaker.machine.current_state != STATE_CLOSED
        }

    def reconcile(self, old: Registry, new: Registry) -> None:
        """After a reload: new thresholds apply; a seat that has gone, or has moved or changed its key, is forgotten."""
        self._in_force = new
        for seat_id, breaker in list(self._breakers.items()):
            seat = new.seats.get(seat_id)
            if seat is not None and _home(old, seat_id) == _home(new, seat_id):
                self._apply(breaker, seat.provider.breaker)
                continue
            del self._breakers[seat_id]
            if breaker.machine.current_state != STATE_CLOSED:
                self._publish(StateChange(seat_id, "clear", "the registry changed", by="breaker"))

    def _make(self, seat: Seat) -> _SeatBreaker:
        thresholds = seat.provider.breaker
        breaker = _SeatBreaker(
            machine=CircuitBreaker(thresholds.failures, _NEVER_S, throw_new_error_on_trip=False),
            thresholds=thresholds,
            last=LastOutcomes(self._clock, _RATE_WINDOW_S, _JUDGED * thresholds.min_calls),
            generation=next(self._generations),
        )
        self._breakers[seat.id] = breaker
        return breaker

    def _apply(self, breaker: _SeatBreaker, thresholds: Thresholds) -> None:
        breaker.thresholds = thresholds
        breaker.machine.fail_max = thresholds.failures
        breaker.last.most = _JUDGED * thresholds.min_calls
        breaker.open_until = min(breaker.open_until, self._clock.monotonic() + thresholds.max_open_s)

    def _outdated(self, seat: Seat) -> bool:
        """Whether the seat belongs to a request from before a reload that has removed or moved it.

        The outcome of such an attempt says nothing about the seat that has its name now.
        """
        if self._in_force is None:
            return False
        provider = seat.provider
        return seat.id not in self._in_force.seats or _home(self._in_force, seat.id) != (
            provider.base_url,
            provider.api_key,
        )

    def _blocked(self, breaker: _SeatBreaker) -> Block | None:
        if breaker.machine.current_state == STATE_CLOSED:
            return None
        now = self._clock.monotonic()
        if now < breaker.open_until:
            return Block("failing", breaker.reason, self._wall(breaker.open_until))
        if now < breaker.trial_until:
            again = min(breaker.trial_until, now + _TRIAL_LOOK_S)
            return Block("failing", "half-open: a trial request is under way", self._wall(again))
        return None

    def _open(self, seat_id: str, breaker: _SeatBreaker, reason: str) -> None:
        thresholds = breaker.thresholds
        breaker.open_s = min(max(2 * breaker.open_s, thresholds.open_s), thresholds.max_open_s)
        jittered_s = breaker.open_s * self._rng.uniform(1 - _JITTER, 1 + _JITTER)
        breaker.opened_at = self._clock.monotonic()
        breaker.open_until = breaker.opened_at + min(jittered_s, thresholds.max_open_s)
        breaker.reason = reason
        breaker.generation = next(self._generations)
        self._publish(StateChange(seat_id, "failing", reason, self._wall(breaker.open_until), by="breaker"))

    def _recovered(self, seat_id: str, breaker: _SeatBreaker) -> None:
        breaker.open_s = 0.0
        breaker.last.clear()
        breaker.generation = next(self._generations)
        self._publish(StateChange(seat_id, "clear", "the trial request succeeded", by="breaker"))

    def _wall(self, monotonic: float) -> float:
        return self._clock.wall() + monotonic - self._clock.monotonic()


class _Failed(Exception):
    """A failed attempt in the form in which pybreaker is told of it."""


def _feed(machine: CircuitBreaker, *, failed: bool) -> None:
    def outcome() -> None:
        if failed:
            raise _Failed

    with suppress(_Failed):
        machine.call(outcome)


def _too_often(breaker: _SeatBreaker, *, failed: bool) -> str | None:
    """Counts one more outcome; the reason, in words, if too large a share of the last calls has failed."""
    last, thresholds = breaker.last, breaker.thresholds
    last.add(failed=failed)
    if not failed or last.calls < thresholds.min_calls or last.failures < _enough(thresholds, last.calls):
        return None
    return f"{last.failures} of the last {last.calls} calls failed"


def _enough(thresholds: Thresholds, calls: int) -> float:
    """How many failures among so many calls are too many: the rate's share of them, less an allowance for chance.

    A seat that fails at exactly the rate shows a lower share half of the time, and for long after a good start; so the
    bound sinks below rate × calls in proportion to the binomial variance rate × (1 - rate) of each call beyond
    `min_calls`. At a rate of one half, 10 of 20 calls, 23 of 60 or 36 of 100 are enough; a rate of 1 allows no chance.
    """
    rate = thresholds.failure_rate
    return rate * calls - _CHANCE * rate * (1 - rate) * (calls - thresholds.min_calls)


def _home(registry: Registry, seat_id: str) -> tuple[str, Secret | None] | None:
    """The address and key that a seat is asked with: with another of either it may be another service altogether."""
    provider = registry.providers.get(seat_id.split("/", 1)[0])
    return (provider.base_url, provider.api_key) if provider else None
