"""What providers are doing to us now: who told us to wait and until when, and who needs a human first.

Two states that are never merged: a *wait* ends by itself, a *stop* ends when the registry changes. Kept per seat, since
two models of one host have weather of their own; only a refused key concerns its whole provider.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

from adapters.errors import POLICY, ErrorKind, ProviderError
from adapters.types import Secret
from router.clock import Clock
from router.registry.model import Limit, Registry, Seat

State = Literal[
    "clear", "leaking", "limited", "quota-spent", "failing", "model-gone", "billing", "bad-key", "no-key", "disabled"
]
_STATE: Mapping[ErrorKind, State] = {
    ErrorKind.RATE_LIMITED: "limited",
    ErrorKind.QUOTA_EXHAUSTED: "quota-spent",
    ErrorKind.SERVER_ERROR: "failing",
    ErrorKind.OVERLOADED: "failing",
    ErrorKind.BILLING: "billing",
    ErrorKind.AUTH: "bad-key",
    ErrorKind.MODEL_GONE: "model-gone",
}
_UNTOLD_WAIT_S: Mapping[ErrorKind, float] = {
    ErrorKind.RATE_LIMITED: 15.0,  # a quarter of the usual window: soon enough to notice, late enough not to hammer
    ErrorKind.QUOTA_EXHAUSTED: 3600.0,
    ErrorKind.BILLING: 3600.0,
}
_MAX_COOLDOWN_S = 3600.0  # a provider that asks for more than an hour is asked again after one
_MAX_DESELECTED_S = 31 * 86400.0


@dataclass(frozen=True, slots=True)
class Block:
    """Why a seat cannot be asked now. `until` is Unix time; None means until a human does something."""

    state: State
    reason: str
    until: float | None = None

    @property
    def kind(self) -> ErrorKind:
        """The kind of failure that asking would most likely end in."""
        return next((kind for kind, state in _STATE.items() if state == self.state), ErrorKind.OVERLOADED)


@dataclass(frozen=True, slots=True)
class StateChange:
    """A seat's or provider's state has become another; `loud` when a human should know at once."""

    subject: str
    state: State
    reason: str
    until: float | None = None
    loud: bool = False


LEAKING = Block("leaking", "its thoughts came as text in a stream: it is asked for whole answers since")


class Weather:
    """The waits and stops that this process has learned, told of every change through `on_change`."""

    def __init__(self, clock: Clock, on_change: Callable[[StateChange], None]) -> None:
        self._clock = clock
        self._on_change = on_change
        self._waits: dict[str, tuple[float, Block]] = {}  # seat id → (monotonic end, block)
        self._stops: dict[str, Block] = {}  # seat id or provider id → block
        self._leaky: set[str] = set()  # seat ids

    def block(self, seat: Seat) -> Block | None:
        """Why this seat cannot be asked now, or None."""
        if self._stops:
            stop = self._stops.get(seat.provider.id) or self._stops.get(seat.id)
            if stop:
                return stop
        wait = self._waits.get(seat.id)
        if wait is None:
            return None
        end, block = wait
        if self._clock.monotonic() < end:
            return block
        del self._waits[seat.id]
        self._on_change(StateChange(seat.id, "clear", "the wait is over"))
        return None

    def learn(self, seat: Seat, error: ProviderError) -> None:
        """Takes in what a failed attempt says of its seat, as `POLICY` has it."""
        policy = POLICY[error.kind]
        match policy.state:
            case "cooldown" | "deselected":
                self._wait(seat, error)
            case "model_disabled":
                self._stop(seat.id, error)
            case "provider_disabled":
                self._stop(seat.provider.id, error)
            case None:
                pass

    def leak(self, seat: Seat) -> None:
        """Thoughts of this seat came as text in a stream, and were known as thoughts only when they had gone out."""
        if seat.id not in self._leaky:
            self._leaky.add(seat.id)
            self._on_change(StateChange(seat.id, "leaking", LEAKING.reason, loud=True))

    def leaks(self, seat: Seat) -> bool:
        """Whether the seat may only be asked for whole answers, in which thoughts can be told from text."""
        return seat.id in self._leaky

    def reconcile(self, old: Registry, new: Registry) -> None:
        """After a reload: stops end where a provider changed, waits where its key did; what has gone is forgotten."""
        changed = {id for id, provider in old.providers.items() if new.providers.get(id) != provider}
        for subject in list(self._stops):
            if _provider(subject) in changed:
                del self._stops[subject]
                self._on_change(StateChange(subject, "clear", "the registry changed"))
        self._leaky = {seat_id for seat_id in self._leaky if _provider(seat_id) not in changed and seat_id in new.seats}
        for seat_id in list(self._waits):
            if seat_id not in new.seats or _key(old, seat_id) != _key(new, seat_id):
                del self._waits[seat_id]
                self._on_change(StateChange(seat_id, "clear", "the registry changed"))

    def _wait(self, seat: Seat, error: ProviderError) -> None:
        wait_s = self._wait_s(seat, error)
        if wait_s <= 0:
            return
        now = self._clock.monotonic()
        known = self._waits.get(seat.id)
        if known and known[0] >= now + wait_s:
            return  # a later, shorter word never shortens an earlier, longer one
        block = Block(_STATE[error.kind], error.message, self._clock.wall() + wait_s)
        self._waits[seat.id] = (now + wait_s, block)
        if not known or known[1].state != block.state:
            loud = POLICY[error.kind].loud
            self._on_change(StateChange(seat.id, block.state, error.message, block.until, loud))

    def _wait_s(self, seat: Seat, error: ProviderError) -> float:
        if POLICY[error.kind].state == "cooldown":
            told = error.retry_after_s
            return min(_UNTOLD_WAIT_S.get(error.kind, 0.0) if told is None else told, _MAX_COOLDOWN_S)
        reset_s = self._until_reset_s(seat, error)
        told_or_usual = _UNTOLD_WAIT_S[error.kind] if error.retry_after_s is None else error.retry_after_s
        # The short delay that comes with a spent day is about the minute: the calendar knows better.
        return min(max(reset_s or 0.0, told_or_usual), _MAX_DESELECTED_S)

    def _until_reset_s(self, seat: Seat, error: ProviderError) -> float | None:
        wall = self._clock.wall()
        if error.kind is not ErrorKind.QUOTA_EXHAUSTED:
            return None
        if error.scope == "month":
            now = dt.datetime.fromtimestamp(wall, dt.UTC)
            first = (now.replace(day=1) + dt.timedelta(days=32)).replace(
                day=1, hour=0, minute=0, second=0, microsecond=0
            )
            return first.timestamp() - wall if error.retry_after_s is None else None
        limits = (*seat.model.limits, *seat.provider.limits)
        resets = [next_reset(limit, wall) for limit in limits if limit.per == "day" and limit.resets != "rolling"]
        return max(resets) - wall if resets else None

    def _stop(self, subject: str, error: ProviderError) -> None:
        if subject in self._stops:
            return
        self._stops[subject] = Block(_STATE[error.kind], error.message)
        self._on_change(StateChange(subject, _STATE[error.kind], error.message, loud=POLICY[error.kind].loud))


def _provider(subject: str) -> str:
    return subject.split("/", 1)[0]


def _key(registry: Registry, seat_id: str) -> Secret | None:
    provider = registry.providers.get(_provider(seat_id))
    return provider.api_key if provider else None


def next_reset(limit: Limit, wall: float) -> float:
    """The Unix time of a calendar limit's next reset after `wall`, in its own zone: days may have 23 or 25 hours."""
    at, zone = limit.resets.split(" ", 1)
    hour, minute = (int(part) for part in at.split(":"))
    local = dt.datetime.fromtimestamp(wall, ZoneInfo(zone))
    for days in (0, 1, 2):
        day = local.date() + dt.timedelta(days=days)
        # Through UTC and back, so that a local time that does not exist (a spring gap) becomes the moment after it.
        moment = dt.datetime.combine(day, dt.time(hour, minute), ZoneInfo(zone)).timestamp()
        if moment > wall:
            return moment
    raise AssertionError("a time of day comes again within two days")
