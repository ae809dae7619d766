"""One attempt: guards → adapter → transport → Vote. Whatever a provider does ends in a vote, never in an exception."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from adapters.errors import ErrorKind, ProviderError
from adapters.types import Adapter, Answer, ChatRequest, Usage
from router.attempts.deadline import Patience, Timer
from router.attempts.exchange import Deliver, Exchange
from router.attempts.structured_output import asked_of, kept
from router.core.block import Block
from router.core.clock import Clock
from router.core.ids import new_id
from router.core.registry import Seat
from router.core.sink import CallerGone
from router.core.vote import Outcome, Vote, VoteRole, cost_usd
from router.guards.guards import Ended, Guards, Permit
from router.upstream.transport import Transport

NOT_NEEDED = "no longer needed"
"""With this word an attempt is cancelled whose answer can change nothing any more: its vote is `cancelled_early`."""

_TIMED_OUT = (ErrorKind.TIMEOUT, ErrorKind.FIRST_TOKEN_TIMEOUT)
_CHARS_PER_TOKEN = 3.5  # for answers whose provider reports no usage; such a vote is marked `usage_estimated`


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is to be tried: one seat, one request, until `deadline` (monotonic).

    `silence_s` bounds the wait for the first byte when other seats could still answer in its place, and `may_leave` is
    asked before that wait ends early because the seat is silent for others too. With `deliver` the answer is streamed,
    and every delta the caller may see is handed to it. `ballot` and `deferred` go into the vote.
    """

    request_id: str
    registry_hash: str
    request_began: float
    seq: int
    role: VoteRole
    seat: Seat
    request: ChatRequest
    deadline: float
    silence_s: float | None = None
    may_leave: Callable[[], bool] | None = None
    deliver: Deliver | None = None
    ballot: Mapping[str, Any] | None = None
    deferred: bool = False


@dataclass(frozen=True, slots=True)
class _Facts:
    """What a vote is made from beside the attempt; `queue_ms` is what the guards took."""

    vote_id: str
    exchange: Exchange
    queue_ms: float


class Attempts:
    """Makes attempts; `record` is told of every vote, once, as soon as it is there.

    `mask` takes secrets out of what providers say: some repeat the key that they refuse.
    """

    def __init__(
        self,
        *,
        guards: Guards,
        adapters: Mapping[str, Adapter],
        transport: Transport,
        record: Callable[[Vote], None],
        mask: Callable[[str], str],
        clock: Clock,
    ) -> None:
        self._guards = guards
        self._adapters = adapters
        self._transport = transport
        self._record = record
        self._mask = mask
        self._clock = clock

    async def run(self, attempt: Attempt) -> Vote:
        """One try at one seat. Raises only `CancelledError` or `CallerGone`, after the vote has been recorded.

        Cancelled with `NOT_NEEDED` it ends with a vote as ever.
        """
        vote_id, asked_at = new_id(self._clock), self._clock.monotonic()
        streamed = attempt.deliver is not None and not self._guards.leaks(attempt.seat)
        try:
            permit = await self._guards.admit(
                attempt.seat, attempt.request, vote_id, streamed=streamed, probe=attempt.role == "probe"
            )
        except asyncio.CancelledError as end:
            if end.args != (NOT_NEEDED,):
                raise
            facts = _Facts(vote_id, self._exchange(attempt, streamed), 0.0)
            return self._vote(attempt, facts, "cancelled_early", None, ProviderError(ErrorKind.CANCELLED, NOT_NEEDED))
        exchange = self._exchange(attempt, streamed, _patience(attempt, permit))
        facts = _Facts(vote_id, exchange, queue_ms=(exchange.began - asked_at) * 1000)
        if not isinstance(permit, Permit):
            return self._vote(attempt, facts, "refused", None, ProviderError(permit.kind, permit.reason))
        exchange.on_life = permit.alive
        answer: Answer | None = None
        error: ProviderError | None = None
        try:
            heard = await exchange.run(self._transport, asked_of(attempt.seat, attempt.request))
            answer = kept(heard, attempt.seat, attempt.request.response_format)
        except ProviderError as failure:
            error = masked(failure, self._mask)
        except (asyncio.CancelledError, CallerGone) as end:
            if end.args == (NOT_NEEDED,):
                error = ProviderError(ErrorKind.CANCELLED, NOT_NEEDED)
                return self._vote(attempt, facts, "cancelled_early", None, error)
            error = ProviderError(ErrorKind.CANCELLED, "the caller left")
            self._vote(attempt, facts, "client_gone", None, error)
            raise
        except Exception as bug:  # a bug of ours in one adapter must not cost the request its other seats
            structlog.get_logger().exception("attempt_bug", provider=attempt.seat.provider.id)
            error = ProviderError(ErrorKind.INTERNAL, f"internal error: {type(bug).__name__}")
        finally:
            permit.settle(self._ended(attempt, exchange, error))
        return self._vote(attempt, facts, "ok" if answer else "failed", answer, error)

    def _ended(self, attempt: Attempt, exchange: Exchange, error: ProviderError | None) -> Ended:
        usage, _ = _usage(attempt.request, exchange)
        took_s = self._clock.monotonic() - exchange.began
        timeouts = attempt.seat.timeouts
        # Neither a caller in a hurry nor one who left because others hear nothing either says anything of the seat: it
        # was given less time than its first token may take. The others wait on, and theirs is what the breaker counts;
        # with everybody's, one hiccup of a second would rest a seat for longer than it lasts.
        hurried = exchange.gave_up or (
            error is not None and error.kind in _TIMED_OUT and took_s < min(timeouts.first_token_s, timeouts.total_s)
        )
        return Ended(
            error,
            sent=exchange.sent,
            usage=usage,
            cost_usd=cost_usd(attempt.seat.model.price, usage),
            seen=exchange.limits_seen,
            leaked=exchange.leaked,
            fair=not hurried,
        )

    def _exchange(self, attempt: Attempt, stream: bool, patience: Patience | None = None) -> Exchange:
        seat = attempt.seat
        timer = Timer(
            seat.timeouts,
            began=self._clock.monotonic(),
            deadline=attempt.deadline,
            silence_s=attempt.silence_s,
            stream=stream,
            patience=patience,
        )
        adapter = self._adapters[seat.target.adapter]
        return Exchange(seat, adapter, timer, self._clock, attempt.deliver, stream=stream)

    def _vote(
        self,
        attempt: Attempt,
        facts: _Facts,
        outcome: Outcome,
        answer: Answer | None,
        error: ProviderError | None,
    ) -> Vote:
        now, exchange = self._clock.monotonic(), facts.exchange
        usage, estimated = _usage(attempt.request, exchange)
        vote = Vote(
            vote_id=facts.vote_id,
            request_id=attempt.request_id,
            registry_hash=attempt.registry_hash,
            seq=attempt.seq,
            role=attempt.role,
            seat=attempt.seat,
            outcome=outcome,
            created_at=self._clock.wall() - (now - exchange.began),
            duration_ms=(now - exchange.began) * 1000,
            arrival_ms=(now - attempt.request_began) * 1000,
            answer=answer,
            error=error,
            status=exchange.status,
            usage=usage,
            usage_estimated=estimated,
            cost_usd=cost_usd(attempt.seat.model.price, usage),
            queue_ms=facts.queue_ms,
            connect_ms=exchange.connect_ms,
            first_token_ms=exchange.first_token_ms,
            provider_request_id=exchange.provider_request_id,
            response_model=exchange.response_model,
            sent=exchange.sent,
            stream=attempt.deliver is not None,
            committed=exchange.committed,
            ballot=attempt.ballot,
            deferred=attempt.deferred and outcome != "client_gone",  # then nothing will be decided
        )
        self._record(vote)
        return vote


def _patience(attempt: Attempt, permit: Permit | Block) -> Patience | None:
    if attempt.may_leave is None or not isinstance(permit, Permit):
        return None
    return Patience(permit.late_s(), permit.in_vain, attempt.may_leave)


def masked(error: ProviderError, mask: Callable[[str], str]) -> ProviderError:
    """The error with secrets taken out of what its provider said."""
    return ProviderError(
        error.kind,
        mask(error.message),
        status=error.status,
        retry_after_s=error.retry_after_s,
        scope=error.scope,
        code=error.code and mask(error.code),
    )


def _usage(request: ChatRequest, exchange: Exchange) -> tuple[Usage, bool]:
    """The reported usage, or an estimate from what was sent and received; True when it is estimated."""
    if exchange.usage.output_tokens is not None or not exchange.received_chars:
        return exchange.usage, False
    asked = sum(len(message.text) for message in request.messages)
    estimate = Usage(input_tokens=_tokens(asked), output_tokens=_tokens(exchange.received_chars))
    return estimate.updated_by(exchange.usage), True


def _tokens(chars: int) -> int:
    return -int(-chars // _CHARS_PER_TOKEN)
