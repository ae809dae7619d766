"""The ledger: every limit of every seat, reserved before a call and settled after it, exact over all replicas.

Redis counts; the vote log restores what Redis has lost; without Redis each replica keeps to its own share, or the
provider is closed, as the registry says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from types import MappingProxyType

from adapters.types import LimitsSeen, Usage
from router.core.block import Block, State
from router.core.clock import Clock
from router.core.registry import Seat
from router.guards.limits.counter_recovery import AskLog, CounterRecovery
from router.guards.limits.counters import LimitLeft, Need, WindowOf, larger_than_any, left_of, of_limit, take, used_up
from router.guards.limits.local_counters import LocalCounter, LocalCounters, asking
from router.guards.limits.offline_share import OfflineShare
from router.guards.limits.redis_counters import CounterReply, RedisCounters, ServerTime
from router.guards.limits.reservation import Consumption, Reservation, Taken, closed, opened, settled, taken_back
from router.guards.limits.settlement import SettlementQueue
from router.guards.limits.windows import LimitPeriod, window_of
from router.stores.errors import StoreDown
from router.stores.redis import TIMEOUT_S, Redis

__all__ = ["Ledger", "Need", "Reservation"]

_TRIES = 3  # one in the wrong period, one on a lost counter, and one as it should be
_CLOSE_S = 1.0
_AGAIN_S = 1.0  # when to ask again where only Redis could tell
_STATE: Mapping[LimitPeriod, State] = MappingProxyType(
    {"minute": "limited", "day": "quota-spent", "month": "quota-spent"}
)

Claims = list[tuple[LocalCounter, int]]
"""What one call claims: an amount of each of its seat's counters."""


class Ledger:
    """Keeps the limits of this replica's calls together with all other replicas.

    `ask_log` says what the vote log knows to have been sent, `replicas` how many replicas share the limits. `on_fault`
    receives one sentence when a provider's limits can no longer be shared with the other replicas, and when they can
    again.
    """

    def __init__(
        self,
        redis: Redis,
        ask_log: AskLog,
        clock: Clock,
        *,
        replicas: Callable[[], int],
        on_fault: Callable[[str], None],
        window: WindowOf = window_of,
    ) -> None:
        self._redis = redis
        self._clock = clock
        self._on_fault = on_fault
        self._time = ServerTime(clock)
        self._counters = LocalCounters(window)
        self._shared = RedisCounters(redis, self._time)
        self._recovery = CounterRecovery(self._shared, ask_log, self._time, clock)
        self._settlements = SettlementQueue(
            self._shared, self._recovery, clock, counters=self._counters, on_fault=on_fault
        )
        self._share = OfflineShare(replicas)
        self._alone: set[str] = set()  # providers whose limits are not shared now
        self.local_grants = 0  # calls admitted without Redis, since the start

    @property
    def degraded(self) -> bool:
        """True while limits are not shared: Redis is away, or not yet told what was admitted meanwhile."""
        return not self._redis.up or self._settlements.behind

    # --- the way of one call -----------------------------------------------------------------------------------------

    async def reserve(self, seat: Seat, need: Need, rid: str) -> Reservation | Block:
        """Takes what the call needs from every limit of the seat, or nothing and says why.

        `rid` stands for one call: with the same one nothing is taken twice. Takes a quarter of a second at most, and as
        much again where a counter has to be recovered first. In a task that is cancelled meanwhile it raises
        `CancelledError`, and what Redis may have granted is handed back in the background.
        """
        counters = self._counters.of(seat)
        if not counters:
            return Reservation(rid)
        claims = [(local, take(local.counter, need)) for local in counters]
        refusal = self._refusal(seat, need, claims)
        if refusal:
            return refusal
        if self._redis.up and not any(local.journal for local in counters):
            try:
                return await self._in_common(seat, claims, rid)
            except StoreDown:
                self._settlements.put(taken_back(rid, claims))
            except asyncio.CancelledError:
                self._settlements.put(taken_back(rid, claims))
                raise
        return await self._offline(seat, claims, rid)

    def settle(
        self, reservation: Reservation, *, sent: bool, usage: Usage, cost_usd: float | None, seen: LimitsSeen
    ) -> None:
        """Turns what was reserved into what was spent, in the background; nothing was spent if nothing was sent.

        What the provider's headers report as left can only lower our allowance.
        """
        if not reservation.taken:
            return
        closed(reservation)
        settlement = settled(reservation, Consumption(sent, usage, cost_usd, seen), self._time.now_ms())
        if settlement.empty:
            return
        if not reservation.offline:
            self._settlements.put(settlement)
            return
        for each, (local, _, change) in zip(reservation.taken, settlement.parts, strict=True):
            local.grant(each.bucket, change.amount)
            local.lowered(change.left, local.counter.window.span(self._time.now_ms()))
        self._settlements.wake()

    async def close(self) -> None:
        """Tells Redis what it has not been told yet, for a second at most."""
        await self._settlements.close(_CLOSE_S)
        await self._recovery.close()

    # --- how limits stand, from memory -------------------------------------------------------------------------------

    def block(self, seat: Seat) -> Block | None:
        """Why no call to this seat can be admitted now, as far as this replica knows."""
        counters = self._counters.of(seat)
        if counters and seat.provider.on_store_down == "closed" and not self._redis.up:
            return self._closed()
        now = self._clock.monotonic()
        waits = [(wait_s, local) for local in counters if (wait_s := local.wait_s(now)) > 0]
        return self._full(*max(waits, key=itemgetter(0))) if waits else None

    def headroom(self, seat: Seat) -> float:
        """The share of the seat's tightest limit that is left, 0 to 1; raised shortly before a reset."""
        now_ms = self._time.now_ms()
        return min((local.room(now_ms) for local in self._counters.of(seat)), default=1.0)

    def left(self, seat: Seat) -> list[LimitLeft]:
        """How every limit of the seat stands, as far as this replica knows."""
        now_ms = self._time.now_ms()
        counters = self._counters.of(seat)
        return [left_of(local.counter, local.used(local.counter.window.span(now_ms)), now_ms) for local in counters]

    async def look(self, seats: Iterable[Seat]) -> None:
        """Learns from Redis how the limits of these seats stand; without Redis, what is known stays."""
        groups: dict[str, dict[str, LocalCounter]] = {}
        for seat in seats:
            of_provider = groups.setdefault(seat.provider.id, {})
            of_provider.update({local.counter.key: local for local in self._counters.of(seat)})
        looked = [list(counters.values()) for counters in groups.values() if counters]
        if not looked or not self._redis.up:
            return
        try:
            replies = await self._shared.look([[local.counter for local in counters] for counters in looked])
        except StoreDown:
            return
        for counters, reply in zip(looked, replies, strict=True):
            self._hear(counters, reply)

    # --- private: reserving ------------------------------------------------------------------------------------------

    async def _in_common(self, seat: Seat, claims: Claims, rid: str) -> Reservation | Block:
        """Asks Redis, which counts for all replicas."""
        counters = [local for local, _ in claims]
        amounts, patience_s = [(local.counter, amount) for local, amount in claims], TIMEOUT_S
        for _ in range(_TRIES):
            began = asyncio.get_running_loop().time()
            with asking(claims):
                reply = await self._shared.reserve(rid, amounts, patience_s)
            patience_s -= asyncio.get_running_loop().time() - began
            match reply.status:
                case "ok":
                    self._together(seat.provider.id)
                    buckets = [view.bucket for view in reply.views]
                    taken = tuple(Taken(local, at, amount) for (local, amount), at in zip(claims, buckets, strict=True))
                    self._hear(counters, reply, taken)
                    return opened(Reservation(rid, taken))
                case "full":
                    self._hear(counters, reply)
                    local, amount = claims[reply.which]
                    local.refuse(amount, reply.wait_ms, self._clock.monotonic())
                    return self._full(reply.wait_ms / 1000, local, amount)
                case "cold":
                    recovered = await self._recovery.recover(_cold(counters, reply))
                    if not recovered or any(local.journal for local in counters):
                        break
        return await self._offline(seat, claims, rid)

    async def _offline(self, seat: Seat, claims: Claims, rid: str) -> Reservation | Block:
        """Decides without Redis, as the registry says for this provider."""
        self._apart(seat.provider.id)
        if seat.provider.on_store_down == "closed":
            return self._closed()
        now = self._clock.monotonic()
        unknown = [local for local, _ in claims if local.stale(now) and not local.journal]
        if unknown:
            await self._recovery.recover(unknown)  # Redis or not, the vote log may know what was spent
        now_ms = self._time.now_ms()
        exhausted = await self._share.take(claims, now_ms)
        if exhausted is not None:
            reason = f"this replica's share of {of_limit(exhausted)} is used up while limits are not shared"
            return Block("limited", reason, self._clock.wall() + _AGAIN_S)
        self.local_grants += 1
        self._settlements.wake()
        taken = tuple(Taken(local, local.counter.window.span(now_ms).bucket, amount) for local, amount in claims)
        return opened(Reservation(rid, taken, offline=True))

    def _refusal(self, seat: Seat, need: Need, claims: Claims) -> Block | None:
        """Why Redis would refuse the call, as far as this replica knows without asking."""
        reason = larger_than_any((local.counter for local, _ in claims), seat, need)
        if reason:
            return Block("limited", reason)
        now = self._clock.monotonic()
        waits = [(wait_s, local, amount) for local, amount in claims if (wait_s := local.wait_s(now, amount)) > 0]
        return self._full(*max(waits, key=itemgetter(0))) if waits else None

    def _hear(self, counters: Sequence[LocalCounter], reply: CounterReply, taken: Sequence[Taken] = ()) -> None:
        now, changes = self._clock.monotonic(), [{each.bucket: each.amount} for each in taken]
        for local, view, change in zip(counters, reply.views, changes or [{}] * len(counters), strict=True):
            if local.hear(view, reply.at_us, now, change):
                self._recovery.recover_beside(local)

    # --- private: in words -------------------------------------------------------------------------------------------

    def _full(self, wait_s: float, local: LocalCounter, amount: int = 0) -> Block:
        counter = local.counter
        reason = used_up(counter, local.used(counter.window.span(self._time.now_ms())), amount)
        return Block(_STATE[counter.limit.per], reason, self._clock.wall() + wait_s)

    def _closed(self) -> Block:
        reason = "closed while Redis is away, since limits cannot be shared (on_store_down)"
        return Block("limited", reason, self._clock.wall() + _AGAIN_S)

    def _apart(self, provider: str) -> None:
        if provider not in self._alone:
            self._alone.add(provider)
            why = "what was spent is not known yet" if self._redis.up else "Redis is away"
            self._on_fault(f"the limits of {provider} are no longer shared between replicas: {why}")

    def _together(self, provider: str) -> None:
        if provider in self._alone:
            self._alone.remove(provider)
            self._share.reset()
            self._on_fault(f"the limits of {provider} are shared between replicas again")


def _cold(counters: Sequence[LocalCounter], reply: CounterReply) -> list[LocalCounter]:
    """The lost counters, except those that were recovered while the reply was on its way."""
    cold = (local for local, view in zip(counters, reply.views, strict=True) if view.epoch is None)
    return [local for local in cold if not local.seen_since(reply.at_us)]
