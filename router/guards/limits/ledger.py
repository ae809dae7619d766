"""The ledger: every limit of every seat, reserved before a call and settled after it, exact over all replicas.

Redis counts; the vote log brings back what Redis has lost; without Redis each replica keeps to its own share, or the
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
from router.core.registry import Limit, Seat
from router.guards.limits.counter_recovery import AskLog, Seeder
from router.guards.limits.counters import LimitLeft, Need, larger_than_any, left_of, of_limit, take, used_up
from router.guards.limits.local_counters import Mark, Marks, asking
from router.guards.limits.offline_share import Share
from router.guards.limits.redis_counters import Counting, Reply, ServerTime
from router.guards.limits.reservation import Ended, Reservation, Taken, closed, opened, settled, taken_back
from router.guards.limits.settlement import Settler
from router.guards.limits.windows import Per, Window, window_of
from router.stores.errors import StoreDown
from router.stores.redis import TIMEOUT_S, Redis

__all__ = ["Ledger", "Need", "Reservation"]

_TRIES = 3  # in the wrong period, on a cold counter, and then as it should be
_CLOSE_S = 1.0
_AGAIN_S = 1.0  # when to ask again where only Redis could tell
_STATE: Mapping[Per, State] = MappingProxyType({"minute": "limited", "day": "quota-spent", "month": "quota-spent"})

Asked = list[tuple[Mark, int]]


class Ledger:
    """Keeps the limits of this replica's calls together with all other replicas.

    `ask_log` says what the vote log knows to have been sent, `replicas` how many share the limits. `on_fault` receives
    one sentence when the limits of a provider can no longer be kept in common, and when they can again.
    """

    def __init__(
        self,
        redis: Redis,
        ask_log: AskLog,
        clock: Clock,
        *,
        replicas: Callable[[], int],
        on_fault: Callable[[str], None],
        window: Callable[[Limit], Window] = window_of,
    ) -> None:
        self._redis = redis
        self._clock = clock
        self._on_fault = on_fault
        self._time = ServerTime(clock)
        self._marks = Marks(window)
        self._counting = Counting(redis, self._time)
        self._seeder = Seeder(self._counting, ask_log, self._time, clock)
        self._settler = Settler(self._counting, self._seeder, clock, marks=self._marks, on_fault=on_fault)
        self._share = Share(replicas)
        self._alone: set[str] = set()  # providers whose limits are not kept in common now
        self.local_grants = 0  # calls let out without Redis, since the start

    @property
    def degraded(self) -> bool:
        """True while limits are not kept in common: Redis is away, or not yet told of what was given meanwhile."""
        return not self._redis.up or self._settler.behind

    # --- the way of one call -----------------------------------------------------------------------------------------

    async def reserve(self, seat: Seat, need: Need, rid: str) -> Reservation | Block:
        """Takes what the call needs from every limit of the seat, or nothing and says why.

        A `rid` stands for one call: asked again with the same, nothing more is taken. Takes a quarter of a second at
        most, and as much again where a counter has to be brought back first.
        """
        marks = self._marks.of(seat)
        if not marks:
            return Reservation(rid)
        asked = [(mark, take(mark.counter, need)) for mark in marks]
        refusal = self._refusal(seat, need, asked)
        if refusal:
            return refusal
        if self._redis.up and not any(mark.journal for mark in marks):
            try:
                return await self._in_common(seat, asked, rid)
            except StoreDown:
                self._settler.put(taken_back(rid, asked))
            except asyncio.CancelledError:
                self._settler.put(taken_back(rid, asked))
                raise
        return await self._alone_with(seat, asked, rid)

    def settle(
        self, reservation: Reservation, *, sent: bool, usage: Usage, cost_usd: float | None, seen: LimitsSeen
    ) -> None:
        """Turns what was reserved into what was spent, in the background; nothing was spent if nothing was sent.

        What the provider's headers say is left can only lower what is held to be left.
        """
        if not reservation.taken:
            return
        closed(reservation)
        settlement = settled(reservation, Ended(sent, usage, cost_usd, seen), self._time.now_ms())
        if settlement.empty:
            return
        if not reservation.local:
            self._settler.put(settlement)
            return
        for each, (mark, _, change) in zip(reservation.taken, settlement.parts, strict=True):
            mark.grant(each.bucket, change.amount)
            mark.lowered(change.left, mark.counter.window.span(self._time.now_ms()))
        self._settler.wake()

    async def close(self) -> None:
        """Tells Redis what it has not been told yet, for a second at most."""
        await self._settler.close(_CLOSE_S)
        await self._seeder.close()

    # --- how limits stand, from memory -------------------------------------------------------------------------------

    def block(self, seat: Seat) -> Block | None:
        """Why no call to this seat can be admitted now, as far as is known here."""
        marks = self._marks.of(seat)
        if marks and seat.provider.on_store_down == "closed" and not self._redis.up:
            return self._closed()
        now = self._clock.monotonic()
        waits = [(wait_s, mark) for mark in marks if (wait_s := mark.wait_s(now)) > 0]
        return self._full(*max(waits, key=itemgetter(0))) if waits else None

    def headroom(self, seat: Seat) -> float:
        """Which part of the seat's tightest limit is left, 0 to 1; more than that where it starts anew soon."""
        now_ms = self._time.now_ms()
        return min((mark.room(now_ms) for mark in self._marks.of(seat)), default=1.0)

    def left(self, seat: Seat) -> list[LimitLeft]:
        """How every limit of the seat stands, as far as is known here."""
        now_ms = self._time.now_ms()
        marks = self._marks.of(seat)
        return [left_of(mark.counter, mark.used(mark.counter.window.span(now_ms)), now_ms) for mark in marks]

    async def look(self, seats: Iterable[Seat]) -> None:
        """Learns from Redis how the limits of these seats stand; without Redis what is known stays."""
        groups: dict[str, dict[str, Mark]] = {}
        for seat in seats:
            groups.setdefault(seat.provider.id, {}).update({mark.counter.key: mark for mark in self._marks.of(seat)})
        looked = [list(marks.values()) for marks in groups.values() if marks]
        if not looked or not self._redis.up:
            return
        try:
            replies = await self._counting.look([[mark.counter for mark in marks] for marks in looked])
        except StoreDown:
            return
        for marks, reply in zip(looked, replies, strict=True):
            self._hear(marks, reply)

    # --- private: reserving ------------------------------------------------------------------------------------------

    async def _in_common(self, seat: Seat, asked: Asked, rid: str) -> Reservation | Block:
        """Asks Redis, which counts for all replicas."""
        marks, wanted, patience_s = [mark for mark, _ in asked], [(mark.counter, n) for mark, n in asked], TIMEOUT_S
        for _ in range(_TRIES):
            began = asyncio.get_running_loop().time()
            with asking(asked):
                reply = await self._counting.reserve(rid, wanted, patience_s)
            patience_s -= asyncio.get_running_loop().time() - began
            match reply.word:
                case "ok":
                    self._together(seat.provider.id)
                    buckets = [view.bucket for view in reply.views]
                    taken = tuple(Taken(mark, at, amount) for (mark, amount), at in zip(asked, buckets, strict=True))
                    self._hear(marks, reply, taken)
                    return opened(Reservation(rid, taken))
                case "full":
                    self._hear(marks, reply)
                    mark, amount = asked[reply.which]
                    mark.refuse(amount, reply.wait_ms, self._clock.monotonic())
                    return self._full(reply.wait_ms / 1000, mark, amount)
                case "cold":
                    if not await self._seeder.seed(_cold(marks, reply)) or any(mark.journal for mark in marks):
                        break
        return await self._alone_with(seat, asked, rid)

    async def _alone_with(self, seat: Seat, asked: Asked, rid: str) -> Reservation | Block:
        """Decides without Redis, as the registry has it for this provider."""
        self._apart(seat.provider.id)
        if seat.provider.on_store_down == "closed":
            return self._closed()
        now = self._clock.monotonic()
        unknown = [mark for mark, _ in asked if mark.stale(now) and not mark.journal]
        if unknown:
            await self._seeder.seed(unknown)  # Redis or not, the vote log may know what was spent
        now_ms = self._time.now_ms()
        empty = await self._share.take(asked, now_ms)
        if empty is not None:
            reason = f"this replica's share of {of_limit(empty)} is used, while they are not counted in common"
            return Block("limited", reason, self._clock.wall() + _AGAIN_S)
        self.local_grants += 1
        self._settler.wake()
        taken = tuple(Taken(mark, mark.counter.window.span(now_ms).bucket, amount) for mark, amount in asked)
        return opened(Reservation(rid, taken, local=True))

    def _refusal(self, seat: Seat, need: Need, asked: Asked) -> Block | None:
        """Why there is no use in asking."""
        reason = larger_than_any((mark.counter for mark, _ in asked), seat, need)
        if reason:
            return Block("limited", reason)
        now = self._clock.monotonic()
        waits = [(wait_s, mark, amount) for mark, amount in asked if (wait_s := mark.wait_s(now, amount)) > 0]
        return self._full(*max(waits, key=itemgetter(0))) if waits else None

    def _hear(self, marks: Sequence[Mark], reply: Reply, taken: Sequence[Taken] = ()) -> None:
        now, changes = self._clock.monotonic(), [{each.bucket: each.amount} for each in taken]
        for mark, view, change in zip(marks, reply.views, changes or [{}] * len(marks), strict=True):
            if mark.hear(view, reply.at_us, now, change):
                self._seeder.renew(mark)

    # --- private: words ----------------------------------------------------------------------------------------------

    def _full(self, wait_s: float, mark: Mark, amount: int = 0) -> Block:
        counter = mark.counter
        reason = used_up(counter, mark.used(counter.window.span(self._time.now_ms())), amount)
        return Block(_STATE[counter.limit.per], reason, self._clock.wall() + wait_s)

    def _closed(self) -> Block:
        return Block("limited", "limits cannot be kept while Redis is away", self._clock.wall() + _AGAIN_S)

    def _apart(self, provider: str) -> None:
        if provider not in self._alone:
            self._alone.add(provider)
            why = "what was spent is not known yet" if self._redis.up else "Redis is away"
            self._on_fault(f"the limits of {provider} are not kept in common: {why}")

    def _together(self, provider: str) -> None:
        if provider in self._alone:
            self._alone.remove(provider)
            self._share.reset()
            self._on_fault(f"the limits of {provider} are kept in common again")


def _cold(marks: Sequence[Mark], reply: Reply) -> list[Mark]:
    """The counters without a life, but for those that have been brought back while the answer was on its way."""
    cold = (mark for mark, view in zip(marks, reply.views, strict=True) if view.epoch is None)
    return [mark for mark in cold if not mark.seen_since(reply.at_us)]
