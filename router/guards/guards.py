"""The guards of one attempt, asked in order: may this seat be asked now? What they refuse costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from adapters.errors import POLICY, ProviderError
from adapters.types import NO_USAGE, ChatRequest, LimitsSeen, Usage
from healthcheck.store import NEVER, Verdicts
from healthcheck.verdicts import Verdict
from router.core.block import Block
from router.core.clock import Clock
from router.core.registry import Registry, Seat
from router.guards import breaker
from router.guards.breaker import Breakers
from router.guards.holds import Weather
from router.guards.latency import Pace
from router.guards.limits.counters import NO_NEED, need_of
from router.guards.limits.ledger import Ledger, Reservation

Class = Literal[0, 1, 2]
_QUICK_S = 0.05  # nobody notices who of two seats is quicker than this: they share the load
_LEAST_HEADROOM = 0.01
_SOON_S = 0.25  # when a place among the requests in flight is free again, nobody can know


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended, as far as its guards must know. `fair` is False when it was cut before its usual time."""

    error: ProviderError | None
    sent: bool
    usage: Usage = NO_USAGE
    cost_usd: float | None = None
    seen: LimitsSeen = ()
    leaked: bool = False
    fair: bool = True

    @property
    def outcome(self) -> breaker.Outcome:
        """What it says of the seat."""
        if self.error is None:
            return "ok"
        return "failure" if self.fair and POLICY[self.error.kind].breaker == "failure" else "nothing"


@dataclass(slots=True)
class Permit:
    """Leave to make one attempt; it is settled exactly once, whatever came of the attempt."""

    seat: Seat
    _guards: Guards
    _reservation: Reservation
    _breaker: breaker.Permit | None
    _ticket: int
    _probe: bool
    _settled: bool = field(default=False)

    def alive(self) -> None:
        """The seat has begun to answer."""
        self._guards.pace.first_token(self._ticket)

    def late_s(self) -> float:
        """After how many seconds without a sign of life `in_vain` may become true; infinite where nobody can know."""
        return self._guards.pace.late_s(self._ticket)

    def in_vain(self) -> bool:
        """Whether the seat is silent now, and others who have waited there for longer go on waiting."""
        return self._guards.pace.in_vain(self._ticket)

    def settle(self, ended: Ended) -> None:
        """Tells every guard how the attempt ended."""
        if not self._settled:
            self._settled = True
            self._guards._settle(self, ended)


class Guards:
    """All guards of this process, asked in the order of one attempt.

    `answered` is told of every seat that has answered, `freed` is called when a seat may be free again.
    """

    def __init__(
        self,
        *,
        weather: Weather,
        breakers: Breakers,
        ledger: Ledger,
        pace: Pace,
        verdicts: Verdicts,
        clock: Clock,
        answered: Callable[[str], None] = lambda seat_id: None,
        freed: Callable[[], None] = lambda: None,
    ) -> None:
        self.weather = weather
        self.breakers = breakers
        self.ledger = ledger
        self.pace = pace
        self.verdicts = verdicts
        self._clock = clock
        self._answered = answered
        self._freed = freed
        self._inflight: dict[str, int] = {}

    async def admit(
        self, seat: Seat, request: ChatRequest, attempt_id: str, *, streamed: bool, probe: bool = False
    ) -> Permit | Block:
        """A permit, or why not; `attempt_id` makes a reservation count once. What is cheap and local is asked first.

        Only a `probe` may ask a seat that is new, or one whose breaker is open.
        """
        block = self._standing_block(seat, probe) or self._busy(seat)
        if block:
            return block
        looks = probe and self.breakers.state(seat.id) != "closed"  # a probe is not the try of a broken seat
        admitted = None if looks else self.breakers.admit(seat)
        if isinstance(admitted, Block):
            return admitted
        provider = seat.provider.id
        self._inflight[provider] = self._inflight.get(provider, 0) + 1
        reservation: Reservation | Block | None = None
        try:
            need = need_of(seat, request) if seat.model.limits or seat.provider.limits else NO_NEED
            reservation = await self.ledger.reserve(seat, need, attempt_id)
        finally:
            if not isinstance(reservation, Reservation):
                self._inflight[provider] -= 1
                self._tell_breaker(admitted, "nothing")
        if isinstance(reservation, Block):
            return reservation
        return Permit(seat, self, reservation, admitted, self.pace.began(seat.id, streamed=streamed), probe)

    def block(self, seat: Seat) -> Block | None:
        """Why the seat cannot be asked now, from memory and without asking for a permit: what plans are made from."""
        return (
            self._standing_block(seat, probe=False)
            or self.breakers.block(seat)
            or self.ledger.block(seat)
            or self._busy(seat)
        )

    def doubt_class(self, seat: Seat) -> Class:
        """How doubtful the seat is: 0 when nothing speaks against it, 2 when it is down."""
        verdict = self.verdicts.of(seat.id)
        return 2 if verdict.verdict == "down" else 1 if self._doubt(seat, verdict) else 0

    def cost_s(self, seat: Seat, *, streamed: bool = False) -> float:
        """What asking the seat costs, as a caller's seconds of waiting: more where little of its limits is left."""
        cost_s = max(self.pace.cost(seat.id, streamed=streamed), _QUICK_S)
        return cost_s / max(self.ledger.headroom(seat), _LEAST_HEADROOM)

    def room(self, seat: Seat) -> float:
        """How many requests its limits leave to a seat, by what was last seen of them."""
        left = [limit.amount - limit.used for limit in self.ledger.left(seat) if limit.name.startswith("requests/")]
        return min(left, default=float("inf"))

    def doubt(self, seat: Seat) -> str | None:
        """Why a seat is asked only after those nothing speaks against, or None."""
        return self._doubt(seat, self.verdicts.of(seat.id))

    def inflight(self, provider: str) -> int:
        """How many attempts are under way at a provider."""
        return self._inflight.get(provider, 0)

    def leaks(self, seat: Seat) -> bool:
        """Whether the seat may only be asked for whole answers."""
        return self.weather.leaks(seat)

    def reconcile(self, old: Registry, new: Registry) -> None:
        """After a reload: what is known of a seat survives by its id."""
        self.weather.reconcile(old, new)
        self.breakers.reconcile(old, new)
        self.pace.forget(new.seats.keys())

    def _standing_block(self, seat: Seat, probe: bool) -> Block | None:
        provider = seat.provider
        if provider.missing_env:
            return Block("no-key", f"{', '.join(provider.missing_env)} is not set")
        if not seat.routable:
            return Block("disabled", "switched off in the registry")
        block = self.weather.block(seat)
        return None if block and probe and block.state == "new" else block

    def _doubt(self, seat: Seat, verdict: Verdict) -> str | None:
        if verdict.verdict in ("degraded", "down"):
            return f"its last probe found it {verdict.verdict}: {verdict.reason}"
        is_probed = verdict.verdict == "unknown" and seat.provider.health.mode != "passive"
        if is_probed and self.verdicts.told_at(seat.id) > NEVER:
            return f"nobody knows how it is: {verdict.reason}"
        return self.pace.doubtful(seat.id)

    def _busy(self, seat: Seat) -> Block | None:
        most = seat.provider.max_inflight
        if most is None or self._inflight.get(seat.provider.id, 0) < most:
            return None
        return Block("limited", f"{most} requests are already in flight", self._clock.wall() + _SOON_S)

    def _tell_breaker(self, permit: breaker.Permit | None, outcome: breaker.Outcome) -> None:
        if permit is not None:
            self.breakers.settle(permit, outcome)

    def _settle(self, permit: Permit, ended: Ended) -> None:
        seat, outcome = permit.seat, ended.outcome
        self._inflight[seat.provider.id] -= 1
        self._tell_breaker(permit._breaker, outcome)
        self.pace.ended(permit._ticket, outcome)
        self.ledger.settle(
            permit._reservation, sent=ended.sent, usage=ended.usage, cost_usd=ended.cost_usd, seen=ended.seen
        )
        if ended.seen:
            self.weather.read_limits(seat, ended.seen)
        if ended.leaked:
            self.weather.leak(seat)
        if ended.error is not None:
            self.weather.learn(seat, ended.error)
        elif not permit._probe:  # what a probe's answer is worth is for its verdict to say
            self.verdicts.succeeded(seat.id, self._clock.wall())
            self._answered(seat.id)
        self._freed()
