"""Failover: the seat to ask after a failure, and the pause before it. Makes no calls itself."""

from __future__ import annotations

from collections.abc import Iterable

from adapters.errors import POLICY, ErrorKind, ProviderError
from router.core.registry import Seat
from router.core.vote import Vote
from router.guards.retry_budget import RetryBudget

_WORTH_A_REPEAT = (ErrorKind.CONNECTION, ErrorKind.SERVER_ERROR)  # faults that may be gone a moment later
_WORTH_GOING_ON = (ErrorKind.CONNECTION, ErrorKind.BAD_RESPONSE)  # a stream that broke, not a seat that went silent
_ANOTHER = ProviderError(ErrorKind.BAD_RESPONSE, "the model began a new answer instead of continuing the cut one")
_PAUSE_S = 0.2  # backoff before a seat that broke is asked again


class Failover:
    """Walks over the seats in order until one answers; per request, one seat may be asked a second time.

    Every call after one that was sent takes from the retry budget, so that an outage does not become a retry storm.
    """

    def __init__(self, seats: Iterable[Seat], retries: RetryBudget) -> None:
        self._waiting = list(seats)
        self._preferred = self._waiting[0] if self._waiting else None
        self._retries = retries
        self._may_repeat = True
        self._is_paid = False
        self.error = ProviderError(ErrorKind.TIMEOUT, "the deadline left no time for an attempt")

    @property
    def others_wait(self) -> bool:
        """Whether another seat is left to ask."""
        return bool(self._waiting)

    def next(self) -> Seat | None:
        """The seat to ask now, None if none is left."""
        return self._waiting.pop(0) if self._waiting else None

    def may_leave(self) -> bool:
        """Whether the seat being asked may be given up for the next one; takes that call from the retry budget now."""
        self._is_paid = bool(self._waiting) and (self._is_paid or self._retries.try_again())
        return self._is_paid

    def after(self, vote: Vote, remaining_s: float) -> float | None:
        """Records a failure; returns the pause in seconds before the next call, None if there is to be none."""
        self.error = vote.error or self.error
        seat, pause_s = vote.seat, self._pause_s(vote) if self._may_repeat else None
        if pause_s is not None and pause_s < remaining_s:
            self._may_repeat = False
            self._waiting.insert(0, seat)
        else:
            pause_s = 0.0
            self._waiting = _still_worth_asking(self._waiting, seat, self.error.kind)
        return pause_s if self._may_go_on(vote) else None

    def after_a_cut(self, vote: Vote, *, may_go_on: bool) -> float | None:
        """Records that a stream broke after its first byte; returns as `after` does.

        The next seat continues the answer, or the same one, once, if it was the last.
        """
        self.error = vote.error or _ANOTHER
        if not self._waiting and self._may_repeat and self.error.kind in _WORTH_GOING_ON:
            self._may_repeat = False
            self._waiting = [vote.seat]
        return 0.0 if may_go_on and self._may_go_on(vote) else None

    def _may_go_on(self, vote: Vote) -> bool:
        if not self._waiting or not vote.sent:
            return bool(self._waiting)
        is_paid, self._is_paid = self._is_paid, False
        return is_paid or self._retries.try_again()

    def _pause_s(self, vote: Vote) -> float | None:
        """Seconds to wait before a retry at the same seat, None for no retry.

        A rate limit is waited out only for the preferred seat and a short `Retry-After`. A seat that broke is retried
        only if no other is left, since failover is quicker. A silent seat is never retried: it would most likely be
        silent again, and the time is gone.
        """
        provider, told_s, kind = vote.seat.provider, self.error.retry_after_s, self.error.kind
        short = told_s is not None and told_s <= provider.retry_after_max_s
        if provider.retries < 1:
            return None
        if kind is ErrorKind.RATE_LIMITED:
            return told_s if short and vote.seat == self._preferred else None
        if kind in _WORTH_A_REPEAT and not self._waiting:
            return _PAUSE_S if told_s is None else told_s if short else None
        return None


def _still_worth_asking(waiting: list[Seat], failed: Seat, kind: ErrorKind) -> list[Seat]:
    """The seats left after a failure of this kind: all, none, or those with a larger context window."""
    match POLICY[kind].next_target:
        case "yes":
            return waiting
        case "no":
            return []
        case "larger":
            return [seat for seat in waiting if _context(seat) > _context(failed)]


def _context(seat: Seat) -> float:
    return float("inf") if seat.model.context is None else seat.model.context
