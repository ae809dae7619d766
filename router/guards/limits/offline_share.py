"""The offline share: what one replica may admit by itself while Redis is away, a careful part of what was left."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from aiolimiter import AsyncLimiter

from router.guards.limits.counters import Counter
from router.guards.limits.local_counters import LocalCounter
from router.guards.limits.windows import LimitPeriod, RollingWindow

# The part of what is left, as (numerator, denominator). A minute's mistake is soon forgotten, while others may have
# gone on spending a day or a month since it was last seen.
_PART: Mapping[LimitPeriod, tuple[int, int]] = MappingProxyType({"minute": (4, 5), "day": (1, 2), "month": (1, 2)})


def share_of(counter: Counter, spent: int, replicas: int) -> int:
    """One replica's share of a counter of which `spent` is known to be spent, if all replicas go by the same rule."""
    part, whole = _PART[counter.limit.per]
    return max(0, (counter.amount - spent) * part // (whole * max(1, replicas)))


class OfflineShare:
    """The share of this replica during one outage.

    The share of a limit per minute is also spread over its minute: half of it may go in one burst, the rest evenly.
    """

    def __init__(self, replicas: Callable[[], int]) -> None:
        self._replicas = replicas
        self._smoothers: dict[str, AsyncLimiter] = {}

    async def take(self, claims: Sequence[tuple[LocalCounter, int]], now_ms: int) -> Counter | None:
        """Notes an amount in the journal of every counter, or in none; returns the counter whose share is used up.

        Never suspends although it is a coroutine, since the limiters are known to have capacity: a check and its take
        are one step.
        """
        for local, amount in claims:
            if not self._fits(local, amount, now_ms):
                return local.counter
        for local, amount in claims:
            if local.counter.key in self._smoothers:
                await self._smoothers[local.counter.key].acquire(amount)
            local.grant(local.counter.window.span(now_ms).bucket, amount)
        return None

    def reset(self) -> None:
        """Redis is back: the next outage starts with a new share."""
        self._smoothers.clear()

    def _fits(self, local: LocalCounter, amount: int, now_ms: int) -> bool:
        counter, span = local.counter, local.counter.window.span(now_ms)
        share = share_of(counter, local.spent_before(span) + local.asked, self._replicas())
        if sum(local.journal.values()) + amount > share:
            return False
        return counter.limit.per != "minute" or self._smoother(counter).has_capacity(amount)

    def _smoother(self, counter: Counter) -> AsyncLimiter:
        """A leaky bucket whose burst and refill within one window add up to the share.

        `AsyncLimiter(share, window)` would let almost twice the share through: a full burst, and a window's refill.
        """
        if counter.key not in self._smoothers:
            share = max(1, share_of(counter, 0, self._replicas()))
            burst = max(1, share // 2)
            assert isinstance(counter.window, RollingWindow)
            window_s = counter.window.window_ms / 1000
            self._smoothers[counter.key] = AsyncLimiter(burst, window_s * burst / max(1, share - burst))
        return self._smoothers[counter.key]
