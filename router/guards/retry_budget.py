"""Retry budget: second attempts are limited to a share of the requests, so that they cannot multiply an outage's load.

Without it every caller's retries arrive exactly when providers can bear them least (SRE Book, "Addressing Cascading
Failures": per-client retry budgets; Finagle's `RetryBudget`).
"""

from __future__ import annotations

from router.core.clock import Clock
from router.guards.rolling import RollingCount


class RetryBudget:
    """Allows retries up to a `share` of the requests of the last `window_s` seconds.

    The first `floor` retries of a window are free, since a share of little traffic would be none at all.
    """

    def __init__(self, clock: Clock, share: float = 0.2, window_s: float = 10.0, floor: int = 10) -> None:
        self._share = share
        self._floor = floor
        self._requests = RollingCount(clock, window_s, slices=10)
        self._retries = RollingCount(clock, window_s, slices=10)

    def request(self) -> None:
        """Counts one request of a caller, whatever becomes of it."""
        self._requests.add()

    def try_again(self) -> bool:
        """Takes one retry out of the budget; False if there is none left."""
        if self._retries.total() >= self._floor + self._share * self._requests.total():
            return False
        self._retries.add()
        return True
