"""Holds: what keeps a seat from being asked although its breaker is closed, for how long, and who can end it.

Five kinds that are never merged, since each ends in another way: a *wait* ends by itself, a *stop* when the registry
changes, a *drain* is a person's decision, a *new* seat serves after its first probe, and a *leak* only bars streams.
They are kept per seat, since two models of one provider may be limited apart; only a refused key and a drain may
concern a whole provider. All but `new` are shared with the other replicas.
"""

from __future__ import annotations

from adapters.errors import POLICY, ProviderError
from adapters.types import LimitsSeen
from router.core.block import LEAKING, STATE_OF, Block, State
from router.core.clock import Clock
from router.core.events import HoldChanged, HoldKind, Publish, StateChange
from router.core.registry import Registry, Seat
from router.guards.backoff import seen_until, wait_s

_UNPROVEN_S = 60.0  # a new seat that has not been probed by then serves unproven


class Holds:
    """The holds on all seats of this process.

    Publishes a `StateChange` for every change of state, and a `HoldChanged` for every hold that other replicas must
    learn about: those placed or lifted here, never those learned from the others.
    """

    def __init__(self, clock: Clock, publish: Publish) -> None:
        self._clock = clock
        self._publish = publish
        self._held: dict[tuple[HoldKind, str], tuple[float | None, Block]] = {}  # → (monotonic end, block)

    def block(self, seat: Seat) -> Block | None:
        """Why this seat cannot be asked now, or None."""
        if not self._held:
            return None
        return next((block for key in _blocking(seat) if (block := self._current(key))), None)

    def learn(self, seat: Seat, error: ProviderError) -> None:
        """Places the hold that `POLICY` prescribes for a failed attempt, if it prescribes one."""
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
        """Holds a seat whose answer's rate-limit headers report a spent limit, until that limit resets."""
        for limit in seen:
            until = seen_until(limit, self._clock.wall())
            if until is not None:
                state: State = "quota-spent" if limit.per in ("day", "month") else "limited"
                what = f"{limit.unit} a {limit.per}" if limit.per else limit.unit
                self._hold("wait", seat.id, Block(state, f"rate-limit headers report 0 {what} left", until))

    def leak(self, seat: Seat) -> None:
        """Bars streams from a seat whose reasoning went out as text before it could be recognised as reasoning."""
        self._hold("leak", seat.id, LEAKING, loud=True)

    def leaks(self, seat: Seat) -> bool:
        """Whether the seat may only be asked for whole answers, in which reasoning can be told from text."""
        return ("leak", seat.id) in self._held

    def drain(self, subject: str, reason: str, until: float | None) -> None:
        """A person takes a provider or a model out of service until a moment (Unix time), or until further notice."""
        self._hold("drain", subject, Block("drained", reason, until))

    def undrain(self, subject: str) -> bool:
        """A person puts a provider or a model back: lifts its drains, its stops and its waits for unpaid bills.

        Returns False if there was nothing to lift.
        """
        found = [
            key
            for key, (_, block) in self._held.items()
            if (key[1] == subject or _provider(key[1]) == subject)
            and (key[0] in ("drain", "stop") or block.state == "billing")
        ]
        for key in found:
            self._lift(key, "undrained by a person")
        return bool(found)

    def proven(self, seat_id: str) -> None:
        """A probe of the seat has passed: if it is new, it serves from now on."""
        self._lift(("new", seat_id), "the first probe passed")

    def take(self, kind: HoldKind, subject: str, block: Block) -> None:
        """Places a hold that another replica has told about."""
        self._hold(kind, subject, block, ours=False)

    def forget(self, kind: HoldKind, subject: str) -> None:
        """Lifts a hold that another replica has lifted."""
        self._lift((kind, subject), "lifted by another replica", ours=False)

    def reconcile(self, old: Registry, new: Registry) -> None:
        """After a reload: lifts stops where a provider changed, waits where its key did, and all of what is gone.

        Seats that were not there before are held as `new`, unless their provider is never probed.
        """
        for key in list(self._held):
            if _outdated(key, old, new):
                self._lift(key, "the registry changed")
        for seat_id in new.seats.keys() - old.seats.keys():
            if new.seats[seat_id].routable and new.seats[seat_id].provider.health.mode != "passive":
                until = self._clock.wall() + _UNPROVEN_S
                self._hold("new", seat_id, Block("new", "serves after its first probe", until))

    def _current(self, key: tuple[HoldKind, str]) -> Block | None:
        held = self._held.get(key)
        if held is None:
            return None
        end, block = held
        if end is None or self._clock.monotonic() < end:
            return block
        del self._held[key]
        self._publish(StateChange(key[1], "clear", "the wait has ended"))
        return None

    def _hold(self, kind: HoldKind, subject: str, block: Block, *, loud: bool = False, ours: bool = True) -> None:
        # Ends are kept by the monotonic clock, so that a wall clock that is set neither frees nor holds a seat.
        end = None if block.until is None else self._clock.monotonic() + block.until - self._clock.wall()
        known = self._held.get((kind, subject))
        if known and (known[0] is None or (end is not None and known[0] >= end)):
            return  # a later, shorter hold never shortens an earlier, longer one
        self._held[kind, subject] = (end, block)
        if ours and kind != "new":
            self._publish(HoldChanged(kind, subject, block))
        if not known or known[1].state != block.state:
            self._publish(StateChange(subject, block.state, block.reason, block.until, loud))

    def _lift(self, key: tuple[HoldKind, str], reason: str, *, ours: bool = True) -> None:
        if self._held.pop(key, None):
            if ours and key[0] != "new":
                self._publish(HoldChanged(key[0], key[1], None))
            self._publish(StateChange(key[1], "clear", reason))


def _blocking(seat: Seat) -> tuple[tuple[HoldKind, str], ...]:
    """The holds that may block a seat, in the order in which they are shown: a person's decision first."""
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
    """Whether a reload ends a hold: what it was learned about is gone, or is no longer the same."""
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
