"""What one replica may give away by itself while Redis is away: a careful share of what was left before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from aiolimiter import AsyncLimiter

from router.guards.limits.counters import Counter
from router.guards.limits.local_counters import Mark
from router.guards.limits.windows import Per, Rolling

# Of what is left: a minute is forgiven soon, while a day or month may have gone on being spent since it was last seen.
_PART: Mapping[Per, tuple[int, int]] = MappingProxyType({"minute": (4, 5), "day": (1, 2), "month": (1, 2)})


def share_of(counter: Counter, spent: int, replicas: int) -> int:
    """So much of a counter is one replica's, when `spent` is known to be spent and all go by the same rule."""
    part, whole = _PART[counter.limit.per]
    return max(0, (counter.amount - spent) * part // (whole * max(1, replicas)))


class Share:
    """The share of this replica, for one outage.

    A share per minute is also spread over its minute: half of it may go in one burst, the rest follows evenly.
    """

    def __init__(self, replicas: Callable[[], int]) -> None:
        self._replicas = replicas
        self._smoothers: dict[str, AsyncLimiter] = {}

    async def take(self, asked: Sequence[tuple[Mark, int]], now_ms: int) -> Counter | None:
        """Notes an amount in the journal of every counter, or in none; returns the counter that has no more to give.

        It never waits: between the question and the answer nothing else runs.
        """
        for mark, amount in asked:
            if not self._fits(mark, amount, now_ms):
                return mark.counter
        for mark, amount in asked:
            if mark.counter.key in self._smoothers:
                await self._smoothers[mark.counter.key].acquire(amount)
            mark.grant(mark.counter.window.span(now_ms).bucket, amount)
        return None

    def reset(self) -> None:
        """Redis is back: the next outage begins with a new share."""
        self._smoothers.clear()

    def _fits(self, mark: Mark, amount: int, now_ms: int) -> bool:
        counter, span = mark.counter, mark.counter.window.span(now_ms)
        share = share_of(counter, mark.spent_before(span) + mark.asked, self._replicas())
        if sum(mark.journal.values()) + amount > share:
            return False
        return counter.limit.per != "minute" or self._smoother(counter).has_capacity(amount)

    def _smoother(self, counter: Counter) -> AsyncLimiter:
        """Never lets more than the share through in one window; `AsyncLimiter(share, window)` would, almost twice."""
        if counter.key not in self._smoothers:
            share = max(1, share_of(counter, 0, self._replicas()))
            burst = max(1, share // 2)
            assert isinstance(counter.window, Rolling)
            window_s = counter.window.window_ms / 1000
            self._smoothers[counter.key] = AsyncLimiter(burst, window_s * burst / max(1, share - burst))
        return self._smoothers[counter.key]
