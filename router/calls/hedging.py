"""Second attempts while a first one is still silent: when they begin, and how many there may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.types import NOTHING
from router.core.clock import Clock
from router.core.duration import parse_duration
from router.core.registry import Registry, Seat, Strategy
from router.guards.latency import Pace
from router.guards.retry_budget import RetryBudget

_WINDOW_S = 60.0


@dataclass(frozen=True, slots=True)
class Hedge:
    """A second seat is asked after `after_s`, or so many `times` the first one's p95; for a `share` of the requests."""

    share: float
    after_s: float | None = None
    times: float | None = None


def hedge_of(registry: Registry, strategy: Strategy) -> Hedge | None:
    """What the registry says of hedging for a strategy; by default there is none."""
    options: Mapping[str, Any] | None = registry.strategies.get(strategy, NOTHING).get("hedge")
    if options is None:
        return None
    after, share = str(options["after"]), float(options["budget"].rstrip("%")) / 100
    if after.endswith("p95"):
        return Hedge(share, times=float(after.partition("x")[0]))
    return Hedge(share, after_s=parse_duration(after))


class Hedges:
    """The hedging of one process: what is usual for a seat, and a budget of second attempts."""

    def __init__(self, pace: Pace, clock: Clock) -> None:
        self._pace = pace
        self._clock = clock
        self._budgets: dict[float, RetryBudget] = {}

    def request(self, hedge: Hedge) -> None:
        """Counts one request that may be hedged."""
        self._budget(hedge).request()

    def after_s(self, hedge: Hedge, seat: Seat, *, streamed: bool) -> float | None:
        """After how many seconds of silence a second seat is asked; None while nobody knows what is usual for this."""
        if hedge.times is None:
            return hedge.after_s
        usual_s = self._pace.p95_s(seat.id, streamed=streamed)
        return None if usual_s is None else hedge.times * usual_s

    def may_begin(self, hedge: Hedge) -> bool:
        """Takes one second attempt out of the budget, or says that there is none left."""
        return self._budget(hedge).try_again()

    def _budget(self, hedge: Hedge) -> RetryBudget:
        return self._budgets.setdefault(hedge.share, RetryBudget(self._clock, hedge.share, _WINDOW_S, floor=1))
