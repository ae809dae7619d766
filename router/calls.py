"""All that a strategy may do: ask seats for votes and turn one of them into the answer.

Failover, deadlines and streaming live here once, so that a strategy is only its decision.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from adapters.errors import POLICY, ErrorKind, ProviderError
from adapters.types import Answer, ChatRequest
from router.attempt import Attempt
from router.clock import Clock
from router.exchange import Deliver
from router.guards.retry_budget import RetryBudget
from router.registry.model import Seat
from router.vote import Vote

_LEAST_TIME_S = 0.2  # an attempt that has less left than this would only be cut off


@dataclass(frozen=True, slots=True)
class Decision:
    """How a strategy ended: with the winning vote, or with the error that is the caller's."""

    winner: Vote | None = None
    error: ProviderError | None = None
    votes_counted: int = 0
    agreement: float | None = None
    margin: float | None = None
    quorum_met: bool | None = None
    low_confidence: bool = False

    @property
    def answer(self) -> Answer | None:
        """What the caller gets."""
        return self.winner.answer if self.winner else None


@dataclass(frozen=True, slots=True)
class Asked:
    """One request on its way: what was asked, when, until when, and where its stream goes if it has one."""

    request_id: str
    registry_hash: str
    request: ChatRequest
    began: float
    deadline: float
    deliver: Deliver | None = None


class Calls:
    """The calls of one request, each made by `attempt`. `votes` are all attempts made so far, in order."""

    def __init__(
        self, asked: Asked, attempt: Callable[[Attempt], Awaitable[Vote]], clock: Clock, retries: RetryBudget
    ) -> None:
        self._asked = asked
        self._attempt = attempt
        self._clock = clock
        self._retries = retries
        self._seq = 0
        self.votes: list[Vote] = []

    async def answer(self, seats: Iterable[Seat]) -> Decision:
        """Walks the seats until one answers, as `POLICY` says after each failure; streams if the caller wants that.

        Once part of an answer has gone out, its failure is the request's: nobody else can continue unnoticed. When most
        requests need a second call the budget of retries ends, so that an outage is not answered with a storm.
        """
        waiting = list(seats)
        error = ProviderError(ErrorKind.TIMEOUT, "the deadline left no time for an attempt")
        while waiting and self._remaining_s() > _LEAST_TIME_S:
            seat = waiting.pop(0)
            vote = await self._try(seat, others_waiting=bool(waiting))
            if vote.ok:
                return Decision(winner=vote, votes_counted=1)
            assert vote.error is not None
            error = vote.error
            if vote.committed or (vote.sent and waiting and not self._retries.try_again()):
                break
            waiting = _still_worth_asking(waiting, seat, error.kind)
        return Decision(error=error)

    async def _try(self, seat: Seat, *, others_waiting: bool) -> Vote:
        self._seq += 1
        attempt = Attempt(
            request_id=self._asked.request_id,
            registry_hash=self._asked.registry_hash,
            request_began=self._asked.began,
            seq=self._seq,
            role="answer",
            seat=seat,
            request=self._asked.request,
            deadline=self._asked.deadline,
            # A seat may stay silent for half of what is left while others stand behind it, so that they get a turn.
            silence_s=self._remaining_s() / 2 if others_waiting else None,
            deliver=self._asked.deliver,
        )
        vote = await self._attempt(attempt)
        self.votes.append(vote)
        return vote

    def _remaining_s(self) -> float:
        return self._asked.deadline - self._clock.monotonic()


def _still_worth_asking(waiting: list[Seat], failed: Seat, kind: ErrorKind) -> list[Seat]:
    match POLICY[kind].next_target:
        case "yes":
            return waiting
        case "no":
            return []
        case "larger":
            return [seat for seat in waiting if _context(seat) > _context(failed)]


def _context(seat: Seat) -> float:
    return float("inf") if seat.model.context is None else seat.model.context
