"""What providers are doing to us now: who told us to wait and until when, and who needs a human first.

States that are never merged: a *wait* ends by itself, a *stop* ends when the registry changes, a *drain* is a person's
word, a *new* seat serves after its first probe. Kept per seat, since two models of one host have weather of their own;
only a refused key and a drain may concern a whole provider. All of it but `new` is shared with the other replicas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from adapters.errors import POLICY, ProviderError
from adapters.types import LimitsSeen
from router.core.block import LEAKING, STATE_OF, Block, State
from router.core.clock import Clock
from router.core.events import StateChange
from router.core.registry import Registry, Seat
from router.guards.backoff import seen_until, wait_s

HoldKind = Literal["wait", "stop", "drain", "new", "leak"]
_UNPROVEN_S = 60.0  # a new seat that nobody has probed by then serves unproven


Tell = Callable[[HoldKind, str, Block | None], None]
"""Tells the other replicas of a hold on a subject, or with None that it is over."""


class Weather:
    """What holds for which seat. `on_change` is told of every change, `tell` of what other replicas must know."""

    def __init__(
        self,
        clock: Clock,
        on_change: Callable[[StateChange], None],
        tell: Tell = lambda kind, subject, block: None,
    ) -> None:
        self._clock = clock
        self._on_change = on_change
        self._tell = tell
        self._held: dict[tuple[HoldKind, str], tuple[float | None, Block]] = {}  # → (monotonic end, block)

    def block(self, seat: Seat) -> Block | None:
        """Why this seat cannot be asked now, or None."""
        if not self._held:
            return None
        return next((block for key in _blocking(seat) if (block := self._holds(key))), None)

    def learn(self, seat: Seat, error: ProviderError) -> None:
        """Takes in what a failed attempt says of its seat, as `POLICY` has it."""
        policy = POLICY[error.kind]
        match policy.state:
            case "cooldown" | "deselected":
                seconds = wait_s(error, seat, self._clock.wall(), deselected=policy.state == "deselected")
                if seconds > 0:
                    block = Block(STATE_OF[error.kind], error.message, self._clock.wall() + seconds)
                    self._hold("wait", seat.id, block, loud=policy.loud)
            case "model_disabled":
                self._hold("stop", seat.id, Block(STATE_OF[error.kind], error.message), loud=policy.loud)
            case "provider_disabled":
                self._hold("stop", seat.provider.id, Block(STATE_OF[error.kind], error.message), loud=policy.loud)
            case None:
                pass

    def read_limits(self, seat: Seat, seen: LimitsSeen) -> None:
        """Takes in the limit headers of an answer: whose limit has nothing left is not asked again before its reset."""
        for limit in seen:
            until = seen_until(limit, self._clock.wall())
            if until is not None:
                state: State = "quota-spent" if limit.per in ("day", "month") else "limited"
                what = f"{limit.unit} a {limit.per}" if limit.per else limit.unit
                self._hold("wait", seat.id, Block(state, f"its headers say that no {what} are left", until))

    def leak(self, seat: Seat) -> None:
        """Thoughts of this seat came as text in a stream, and were known as thoughts only when they had gone out."""
        self._hold("leak", seat.id, LEAKING, loud=True)

    def leaks(self, seat: Seat) -> bool:
        """Whether the seat may only be asked for whole answers, in which thoughts can be told from text."""
        return ("leak", seat.id) in self._held

    def drain(self, subject: str, reason: str, until: float | None) -> None:
        """A person takes a provider, or one of its models, out of service until a moment, or until further notice."""
        self._hold("drain", subject, Block("drained", reason, until))

    def undrain(self, subject: str) -> bool:
        """A person says that a provider or model may serve again: its drains, stops and unpaid bills are forgotten."""
        found = [
            key
            for key, (_, block) in self._held.items()
            if (key[1] == subject or _provider(key[1]) == subject)
            and (key[0] in ("drain", "stop") or block.state == "billing")
        ]
        for key in found:
            self._lift(key, "a person said so")
        return bool(found)

    def proven(self, seat_id: str) -> None:
        """A new seat has passed its first probe."""
        self._lift(("new", seat_id), "it passed its first probe")

    def take(self, kind: HoldKind, subject: str, block: Block) -> None:
        """Another replica has learned this."""
        self._hold(kind, subject, block, ours=False)

    def forget(self, kind: HoldKind, subject: str) -> None:
        """Another replica says that this is over."""
        self._lift((kind, subject), "another replica says so", ours=False)

    def ours(self) -> Iterator[tuple[HoldKind, str, Block]]:
        """Everything that holds now and that other replicas must know."""
        for kind, subject in list(self._held):
            block = self._holds((kind, subject))
            if block and kind != "new":
                yield kind, subject, block

    def reconcile(self, old: Registry, new: Registry) -> None:
        """After a reload: stops end where a provider changed, waits where its key did; what has gone is forgotten.

        Seats that were not there before are `new`, unless their provider is never probed.
        """
        for key in list(self._held):
            if _outdated(key, old, new):
                self._lift(key, "the registry changed")
        for seat_id in new.seats.keys() - old.seats.keys():
            if new.seats[seat_id].routable and new.seats[seat_id].provider.health.mode != "passive":
                until = self._clock.wall() + _UNPROVEN_S
                self._hold("new", seat_id, Block("new", "it serves after its first probe", until))

    def _holds(self, key: tuple[HoldKind, str]) -> Block | None:
        held = self._held.get(key)
        if held is None:
            return None
        end, block = held
        if end is None or self._clock.monotonic() < end:
            return block
        del self._held[key]
        self._on_change(StateChange(key[1], "clear", "the wait is over"))
        return None

    def _hold(self, kind: HoldKind, subject: str, block: Block, *, loud: bool = False, ours: bool = True) -> None:
        end = None if block.until is None else self._clock.monotonic() + block.until - self._clock.wall()
        known = self._held.get((kind, subject))
        if known and (known[0] is None or (end is not None and known[0] >= end)):
            return  # a later, shorter word never shortens an earlier, longer one
        self._held[kind, subject] = (end, block)
        if ours and kind != "new":
            self._tell(kind, subject, block)
        if not known or known[1].state != block.state:
            self._on_change(StateChange(subject, block.state, block.reason, block.until, loud))

    def _lift(self, key: tuple[HoldKind, str], reason: str, *, ours: bool = True) -> None:
        if self._held.pop(key, None):
            if ours and key[0] != "new":
                self._tell(key[0], key[1], None)
            self._on_change(StateChange(key[1], "clear", reason))


def _blocking(seat: Seat) -> tuple[tuple[HoldKind, str], ...]:
    """What may speak against a seat, the most human word first."""
    provider = seat.provider.id
    return (
        ("drain", provider),
        ("drain", seat.id),
        ("stop", provider),
        ("stop", seat.id),
        ("wait", seat.id),
        ("new", seat.id),
    )


def _outdated(key: tuple[HoldKind, str], old: Registry, new: Registry) -> bool:
    kind, subject = key
    before, after = old.providers.get(_provider(subject)), new.providers.get(_provider(subject))
    if after is None or ("/" in subject and subject not in new.seats):
        return True
    match kind:
        case "stop" | "leak":
            return before != after
        case "wait":
            return before is None or before.api_key != after.api_key
        case "drain" | "new":
            return False


def _provider(subject: str) -> str:
    return subject.split("/", 1)[0]
