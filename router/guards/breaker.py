"""Whether a seat is broken: after too many failures it rests, longer each time, until a single try has succeeded.

pybreaker is the state machine, and it is only told of attempts that are over: given a coroutine it would see how that
was created, not how it ended. By itself it admits every waiting caller to a half-open seat, counts only failures in a
row, and reads the wall clock; so one try at a time, the failure rate and the rests are kept here.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from pybreaker import STATE_CLOSED, STATE_OPEN, CircuitBreaker

from adapters.types import Secret
from router.core.block import Block
from router.core.clock import Clock
from router.core.events import StateChange
from router.core.registry import Breaker as Thresholds
from router.core.registry import Registry, Seat
from router.guards.rolling import LastOutcomes

Outcome = Literal["ok", "failure", "nothing"]  # "nothing" says nothing of the seat: a user's mistake, a limit, a cancel
_RATE_WINDOW_S = 60.0
_JUDGED = 5  # times `min_calls`: of more calls, old answers would outweigh new failures
_CHANCE = 0.7  # of a call's variance: what the failures of a seat that is as bad as the rate may fall short of it
_JITTER = 0.1  # replicas that were hit by the same outage do not all try again at the same moment
_TRY_MARGIN_S = 5.0  # a try is given up for lost this long after its own time limit should have ended it
_VERDICT_S = 1.0  # when to ask again while somebody else's try is under way: most answers have begun by then
_NEVER_S = 1e9  # pybreaker's own clock never ends a rest
_OUTDATED = -1  # the generation of attempts at a seat as it was before a reload


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave for one attempt. Its outcome counts only while the breaker is in the same `generation`."""

    seat: Seat
    generation: int


@dataclass(slots=True)
class _Breaker:
    machine: CircuitBreaker
    thresholds: Thresholds
    last: LastOutcomes
    generation: int  # another one after every change of state and for every try, of all breakers together
    reason: str = ""
    rest_s: float = 0.0  # how long the last rest was before jitter; 0 once the seat has recovered
    rests_since: float = -math.inf  # monotonic, as are the next two
    rests_until: float = -math.inf
    tried_until: float = -math.inf  # when the half-open slot is free again at the latest


class Breakers:
    """The breakers of all seats, kept by seat id and made at first use; `on_change` is told of every change."""

    def __init__(self, clock: Clock, on_change: Callable[[StateChange], None], rng: random.Random) -> None:
        self._clock = clock
        self._on_change = on_change
        self._rng = rng
        self._breakers: dict[str, _Breaker] = {}
        self._generations = itertools.count()
        self._in_force: Registry | None = None

    def block(self, seat: Seat) -> Block | None:
        """Why the seat would be refused now, or None; nothing is taken."""
        breaker = self._breakers.get(seat.id)
        if breaker is None or self._outdated(seat):
            return None
        return self._blocked(breaker)

    def admit(self, seat: Seat) -> Permit | Block:
        """Leave for one attempt, or why not. After a rest exactly one attempt is admitted until it has been settled."""
        if self._outdated(seat):
            return Permit(seat, _OUTDATED)
        breaker = self._breakers.get(seat.id) or self._make(seat)
        block = self._blocked(breaker)
        if block:
            return block
        if breaker.machine.current_state != STATE_CLOSED:
            breaker.machine.half_open()
            breaker.generation = next(self._generations)
            breaker.tried_until = self._clock.monotonic() + seat.timeouts.total_s + _TRY_MARGIN_S
        return Permit(seat, breaker.generation)

    def settle(self, permit: Permit, outcome: Outcome) -> None:
        """Takes in how an attempt ended; outcomes of an earlier generation are ignored."""
        breaker = self._breakers.get(permit.seat.id)
        if breaker is None or breaker.generation != permit.generation:
            return
        breaker.tried_until = -math.inf
        if outcome == "nothing":
            return
        failed = outcome == "failure"
        was_closed = breaker.machine.current_state == STATE_CLOSED
        _tell(breaker.machine, failed=failed)
        if breaker.machine.current_state == STATE_OPEN:
            in_a_row = f"{breaker.machine.fail_counter} failures in a row"
            self._rest(permit.seat.id, breaker, in_a_row if was_closed else "it failed again when it was tried")
        elif not was_closed:
            self._recovered(permit.seat.id, breaker)
        elif too_often := _too_often(breaker, failed=failed):
            breaker.machine.open()
            self._rest(permit.seat.id, breaker, too_often)

    def bring_forward(self, seat_id: str, reason: str) -> None:
        """Ends a rest now: the next call may try the seat. A probe that passes calls this; it closes nothing."""
        breaker = self._breakers.get(seat_id)
        if breaker is not None and self.state(seat_id) == "open":
            breaker.rests_until = self._clock.monotonic()
            self._on_change(StateChange(seat_id, "failing", reason, self._clock.wall()))

    def state(self, seat_id: str) -> Literal["closed", "half-open", "open"]:
        """What the breaker would do with a call; a rest that is over is half-open, though nobody has called yet."""
        breaker = self._breakers.get(seat_id)
        if breaker is None or breaker.machine.current_state == STATE_CLOSED:
            return "closed"
        return "open" if self._clock.monotonic() < breaker.rests_until else "half-open"

    def opened_at(self, seat_id: str) -> float:
        """The monotonic time at which the last rest of a seat began; minus infinity if it never had one."""
        breaker = self._breakers.get(seat_id)
        return breaker.rests_since if breaker else -math.inf

    def open_until(self) -> Mapping[str, float]:
        """Unix time at which the rest of each seat that is not closed ends, or ended, by seat id."""
        return {
            seat_id: self._wall(breaker.rests_until)
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
                self._on_change(StateChange(seat_id, "clear", "the registry changed"))

    def _make(self, seat: Seat) -> _Breaker:
        thresholds = seat.provider.breaker
        breaker = _Breaker(
            machine=CircuitBreaker(thresholds.failures, _NEVER_S, throw_new_error_on_trip=False),
            thresholds=thresholds,
            last=LastOutcomes(self._clock, _RATE_WINDOW_S, _JUDGED * thresholds.min_calls),
            generation=next(self._generations),
        )
        self._breakers[seat.id] = breaker
        return breaker

    def _apply(self, breaker: _Breaker, thresholds: Thresholds) -> None:
        breaker.thresholds = thresholds
        breaker.machine.fail_max = thresholds.failures
        breaker.last.most = _JUDGED * thresholds.min_calls
        breaker.rests_until = min(breaker.rests_until, self._clock.monotonic() + thresholds.max_open_s)

    def _outdated(self, seat: Seat) -> bool:
        """Whether the seat is of a request that began before a reload, and is gone or elsewhere since.

        What becomes of such an attempt says nothing of the seat that has its name now.
        """
        if self._in_force is None:
            return False
        provider = seat.provider
        return seat.id not in self._in_force.seats or _home(self._in_force, seat.id) != (
            provider.base_url,
            provider.api_key,
        )

    def _blocked(self, breaker: _Breaker) -> Block | None:
        if breaker.machine.current_state == STATE_CLOSED:
            return None
        now = self._clock.monotonic()
        if now < breaker.rests_until:
            return Block("failing", breaker.reason, self._wall(breaker.rests_until))
        if now < breaker.tried_until:
            again = min(breaker.tried_until, now + _VERDICT_S)
            return Block("failing", "one request is trying whether it answers again", self._wall(again))
        return None

    def _rest(self, seat_id: str, breaker: _Breaker, reason: str) -> None:
        thresholds = breaker.thresholds
        breaker.rest_s = min(max(2 * breaker.rest_s, thresholds.open_s), thresholds.max_open_s)
        jittered_s = breaker.rest_s * self._rng.uniform(1 - _JITTER, 1 + _JITTER)
        breaker.rests_since = self._clock.monotonic()
        breaker.rests_until = breaker.rests_since + min(jittered_s, thresholds.max_open_s)
        breaker.reason = reason
        breaker.generation = next(self._generations)
        self._on_change(StateChange(seat_id, "failing", reason, self._wall(breaker.rests_until)))

    def _recovered(self, seat_id: str, breaker: _Breaker) -> None:
        breaker.rest_s = 0.0
        breaker.last.clear()
        breaker.generation = next(self._generations)
        self._on_change(StateChange(seat_id, "clear", "it answered again when it was tried"))

    def _wall(self, monotonic: float) -> float:
        return self._clock.wall() + monotonic - self._clock.monotonic()


class _Failed(Exception):
    """An attempt that failed, as pybreaker wants to be told of it."""


def _tell(machine: CircuitBreaker, *, failed: bool) -> None:
    def outcome() -> None:
        if failed:
            raise _Failed

    with suppress(_Failed):
        machine.call(outcome)


def _too_often(breaker: _Breaker, *, failed: bool) -> str | None:
    """Counts one more outcome; in words, if too large a share of the last calls has failed."""
    last, thresholds = breaker.last, breaker.thresholds
    last.add(failed=failed)
    if not failed or last.calls < thresholds.min_calls or last.failures < _enough(thresholds, last.calls):
        return None
    return f"{last.failures} of the last {last.calls} calls failed"


def _enough(thresholds: Thresholds, calls: int) -> float:
    """How many failures among so many calls are too many: the rate's share of them, less what chance may take off it.

    A seat that fails at the rate itself shows less than that half of the time, and for long after a good start: of a
    half, 10 of 20 calls, 23 of 60 or 36 of 100 are enough. A rate of 1 leaves nothing to chance.
    """
    rate = thresholds.failure_rate
    return rate * calls - _CHANCE * rate * (1 - rate) * (calls - thresholds.min_calls)


def _home(registry: Registry, seat_id: str) -> tuple[str, Secret | None] | None:
    """Where a seat is asked, and as whom: another address or key may be another service altogether."""
    provider = registry.providers.get(seat_id.split("/", 1)[0])
    return (provider.base_url, provider.api_key) if provider else None
