"""Stragglers and failures among seats asked at once: how long to wait for the slow, and which error to give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from adapters.errors import ErrorKind, ProviderError
from router.core.vote import Vote

_LEAST_GRACE_S = 0.25
_LONGEST_GRACE_S = 5.0


def straggler_s(elapsed_s: float) -> float:
    """How long stragglers are waited for when the others have taken so long: half as long again.

    5 s at most, and a quarter of a second at least: among quick seats half as long again is no time at all.
    """
    return min(max(0.5 * elapsed_s, _LEAST_GRACE_S), _LONGEST_GRACE_S)


def grace(asked: int, spares: int = 0) -> Callable[[Sequence[Vote], float], float | None]:
    """The grace for `Calls.gather`: `straggler_s` from the moment on when most of those that can answer have."""

    def more_s(votes: Sequence[Vote], elapsed_s: float) -> float | None:
        answered = sum(vote.ok for vote in votes)
        lost = max(0, len(votes) - answered - spares)
        if answered < max(2, (asked - lost) // 2 + 1):
            return None
        return straggler_s(elapsed_s)

    return more_s


def failure(votes: Iterable[Vote]) -> ProviderError:
    """The caller's error when no seat answered: that of the last failure; calls that we cancelled do not count."""
    errors = [vote.error for vote in votes if vote.error and vote.error.kind is not ErrorKind.CANCELLED]
    return errors[-1] if errors else ProviderError(ErrorKind.TIMEOUT, "no seat answered within the deadline")
