"""The guards of one attempt, asked in order: may this seat be asked now? A refusal costs nothing."""

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
from router.core.events import VerdictFound, VerdictHeard
from router.core.registry import Registry, Seat
from router.guards.breaker import BreakerPermit, Breakers, Evidence
from router.guards.holds import Holds
from router.guards.latency import LatencyTracker
from router.guards.limits.counters import NO_NEED, need_of
from router.guards.limits.ledger import Ledger, Reservation

DoubtClass = Literal[0, 1, 2]
"""0: nothing speaks against the seat; 1: it is in doubt; 2: its last probe found it down."""

_QUICK_S = 0.05  # nobody notices which of two seats is quicker than this: they share the load
_LEAST_HEADROOM = 0.01
_SOON_S = 0.25  # a guess, since nobody can know when a request in flight will end


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended, as far as its guards must know.

    `fair` is False when the attempt was cut before the seat's usual time: then its failure says nothing about the seat.
    """

    error: ProviderError | None
    sent: bool
    usage: Usage = NO_USAGE
    cost_usd: float | None = None
    seen: LimitsSeen = ()
    leaked: bool = False
    fair: bool = True

    @property
    def evidence(self) -> Evidence:
        """What the end says about the seat."""
        if self.error is None:
            return "ok"
        return "failure" if self.fair and POLICY[self.error.kind].breaker == "failure" else "nothing"


@dataclass(slots=True, eq=False)
class Permit:
    """Permission for one attempt; `settle` ends it exactly once, whatever came of the attempt."""

    seat: Seat
    guards: Guards
    reservation: Reservation
    breaker: BreakerPermit | None
    ticket: int  # of the latency tracker
    is_probe: bool
    _settled: bool = field(default=False, init=False)

    def alive(self) -> None:
        """The seat has begun to answer."""
        self.guards.latency.first_token(self.ticket)

    def late_s(self) -> float:
        """The silence, in seconds, before which `in_vain` is never true; infinite while nothing is usual here."""
        return self.guards.latency.late_s(self.ticket)

    def in_vain(self) -> bool:
        """Whether the seat is silent, and so for others that have waited longer: see `LatencyTracker.in_vain`."""
        return self.guards.latency.in_vain(self.ticket)

    def settle(self, ended: Ended) -> None:
        """Tells every guard how the attempt ended; only the first call counts."""
        if not self._settled:
            self._settled = True
            self.guards.settle(self, ended)


class Guards:
    """All guards of this process, asked in the order of one attempt.

    `answered` is told the id of every seat that answers a request, `freed` is called when a seat may be free again.
    """

    def __init__(
        self,
        *,
        holds: Holds,
        breakers: Breakers,
        ledger: Ledger,
        latency: LatencyTracker,
        verdicts: Verdicts,
        clock: Clock,
        answered: Callable[[str], None] = lambda seat_id: None,
        freed: Callable[[], None] = lambda: None,
    ) -> None:
        self.holds = holds
        self.breakers = breakers
        self.ledger = ledger
        self.latency = latency
        self.verdicts = verdicts
        self._clock = clock
        self._answered = answered
        self._freed = freed
        self._inflight: dict[str, int] = {}

    async def admit(
        self, seat: Seat, request: ChatRequest, attempt_id: str, *, streamed: bool, probe: bool = False
    ) -> Permit | Block:
        """A permit, or why not. The cheap local guards are asked before the limits, which cost a round trip to Redis.

        `attempt_id` makes the reservation idempotent. Only a `probe` may ask a seat that is new, or one whose breaker
        is open. Cancelled, it hands back the breaker's slot, the place in flight and the reservation.
        """
        block = self._standing_block(seat, probe) or self._busy(seat)
        if block:
            return block
        bypasses = probe and self.breakers.state(seat.id) != "closed"  # a probe must not be a broken seat's one trial
        admitted = None if bypasses else self.breakers.admit(seat)
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
        ticket = self.latency.began(seat.id, streamed=streamed)
        return Permit(seat, self, reservation, admitted, ticket, probe)

    def settle(self, permit: Permit, ended: Ended) -> None:
        """Tells every guard how an attempt ended; for `Permit.settle`, which calls it once."""
        seat, evidence = permit.seat, ended.evidence
        self._inflight[seat.provider.id] -= 1
        self._tell_breaker(permit.breaker, evidence)
        self.latency.ended(permit.ticket, evidence)
        self.ledger.settle(
            permit.reservation, sent=ended.sent, usage=ended.usage, cost_usd=ended.cost_usd, seen=ended.seen
        )
        if ended.seen:
            self.holds.read_limits(seat, ended.seen)
        if ended.leaked:
            self.holds.leak(seat)
        if ended.error is not None:
            self.holds.learn(seat, ended.error)
        elif not permit.is_probe:  # a probe's answer counts through its verdict
            self.verdicts.succeeded(seat.id, self._clock.wall())
            self._answered(seat.id)
        self._freed()

    def on_verdict(self, event: VerdictFound | VerdictHeard) -> None:
        """A probe that passed, in whichever replica, lets a new seat serve and makes an open breaker half-open."""
        verdict = event.verdict
        if verdict.verdict in ("healthy", "degraded") and not verdict.failed_once:
            self.holds.proven(verdict.subject)
            self.breakers.bring_forward(verdict.subject, "the last probe passed")

    def block(self, seat: Seat) -> Block | None:
        """Why the seat cannot be asked now, from memory and without taking a permit: what plans are made from."""
        return (
            self._standing_block(seat, probe=False)
            or self.breakers.block(seat)
            or self.ledger.block(seat)
            or self._busy(seat)
        )

    def doubt_class(self, seat: Seat) -> DoubtClass:
        """How doubtful the seat is: plans order by this first."""
        verdict = self.verdicts.of(seat.id)
        return 2 if verdict.verdict == "down" else 1 if self._doubt(seat, verdict) else 0

    def doubt(self, seat: Seat) -> str | None:
        """Why the seat is asked only after those that nothing speaks against, in words; None for a sound seat."""
        return self._doubt(seat, self.verdicts.of(seat.id))

    def cost_s(self, seat: Seat, *, streamed: bool = False) -> float:
        """The cost of asking the seat, as seconds of a caller's waiting over the share of its limits that is left."""
        cost_s = max(self.latency.cost_s(seat.id, streamed=streamed), _QUICK_S)
        return cost_s / max(self.ledger.headroom(seat), _LEAST_HEADROOM)

    def room(self, seat: Seat) -> float:
        """How many more requests the seat's limits allow, as last seen; infinite without a limit on requests."""
        left = [limit.amount - limit.used for limit in self.ledger.left(seat) if limit.unit == "requests"]
        return min(left, default=float("inf"))

    def inflight(self, provider: str) -> int:
        """How many attempts are under way at a provider."""
        return self._inflight.get(provider, 0)

    def leaks(self, seat: Seat) -> bool:
        """Whether the seat may only be asked for whole answers."""
        return self.holds.leaks(seat)

    def reconcile(self, old: Registry, new: Registry) -> None:
        """After a reload: what is known about a seat survives by its id, as long as it is the same service."""
        self.holds.reconcile(old, new)
        self.breakers.reconcile(old, new)
        self.latency.keep_only(new.seats.keys())

    def _standing_block(self, seat: Seat, probe: bool) -> Block | None:
        provider = seat.provider
        if provider.missing_env:
            return Block("no-key", f"{', '.join(provider.missing_env)} is not set")
        if not seat.routable:
            return Block("disabled", "disabled in the registry")
        block = self.holds.block(seat)
        return None if block and probe and block.state == "new" else block

    def _doubt(self, seat: Seat, verdict: Verdict) -> str | None:
        if verdict.verdict in ("degraded", "down"):
            return f"{verdict.verdict} at its last probe: {verdict.reason}"
        is_probed = verdict.verdict == "unknown" and seat.provider.health.mode != "passive"
        if is_probed and self.verdicts.told_at(seat.id) > NEVER:
            return f"health unknown: {verdict.reason}"
        return self.latency.doubt(seat.id)

    def _busy(self, seat: Seat) -> Block | None:
        most = seat.provider.max_inflight
        if most is None or self._inflight.get(seat.provider.id, 0) < most:
            return None
        return Block("limited", f"{most} of {most} concurrent requests are in flight", self._clock.wall() + _SOON_S)

    def _tell_breaker(self, permit: BreakerPermit | None, evidence: Evidence) -> None:
        if permit is not None:
            self.breakers.settle(permit, evidence)
