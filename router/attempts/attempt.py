"""One attempt: guards, adapter, transport, vote. Whatever a provider does becomes a vote, never an exception."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from adapters import Adapter
from adapters.errors import ErrorKind, ProviderError
from adapters.types import Answer, ChatRequest, Usage
from router.attempts.deadline import Deadline, Patience
from router.attempts.exchange import Exchange
from router.attempts.structured_output import conforming, request_for
from router.core.block import Block
from router.core.clock import Clock
from router.core.context import RequestContext
from router.core.ids import new_id
from router.core.registry import Seat
from router.core.sink import CallerGone, Deliver, Speaker
from router.core.tasks import CancelReason, cancel_reason
from router.core.tokens import text_tokens
from router.core.vote import Vote, VoteOutcome, VoteRole, cost_usd
from router.guards.guards import Ended, Guards, Permit
from router.upstream.transport import Transport

_NOT_NEEDED = ProviderError(ErrorKind.CANCELLED, "no longer needed")
_TIMED_OUT = (ErrorKind.TIMEOUT, ErrorKind.FIRST_TOKEN_TIMEOUT)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call to make: a request to a seat, until `deadline` (monotonic seconds).

    `silence_s` bounds the wait for the first byte while other seats could answer instead. `may_leave` is asked before
    that wait is ended even earlier, because the seat is silent for other requests too; without it, it never is. With
    `deliver` the answer is streamed, and `deliver` receives every delta. `ballot` and `deferred` go into the vote.
    """

    context: RequestContext
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
class _Progress:
    """The progress of an attempt, for its vote; `queue_ms` is the time that the guards took."""

    vote_id: str
    exchange: Exchange
    queue_ms: float


class Attempts:
    """Makes attempts; `publish` receives every vote once, as soon as its attempt has ended.

    `mask` removes secrets from providers' error texts: some repeat the key that they refuse.
    """

    def __init__(
        self,
        *,
        guards: Guards,
        adapters: Mapping[str, Adapter],
        transport: Transport,
        publish: Callable[[Vote], None],
        mask: Callable[[str], str],
        clock: Clock,
    ) -> None:
        self._guards = guards
        self._adapters = adapters
        self._transport = transport
        self._publish = publish
        self._mask = mask
        self._clock = clock

    async def run(self, attempt: Attempt) -> Vote:
        """Makes one attempt. Raises only `CancelledError` or `CallerGone`, after the vote has been published.

        An attempt that is cancelled as `NOT_NEEDED` returns a vote like any other, whatever it was doing.
        """
        vote_id, asked_at = new_id(self._clock), self._clock.monotonic()
        streamed = attempt.deliver is not None and not self._guards.leaks(attempt.seat)
        try:
            permit = await self._guards.admit(
                attempt.seat, attempt.request, vote_id, streamed=streamed, probe=attempt.role == "probe"
            )
        except asyncio.CancelledError:
            if cancel_reason() is not CancelReason.NOT_NEEDED:
                raise
            facts = _Progress(vote_id, self._exchange(attempt, streamed), 0.0)
            return self._vote(attempt, facts, "cancelled_early", None, _NOT_NEEDED)
        exchange = self._exchange(attempt, streamed, _patience(attempt, permit))
        facts = _Progress(vote_id, exchange, queue_ms=(exchange.began - asked_at) * 1000)
        if not isinstance(permit, Permit):
            return self._vote(attempt, facts, "refused", None, ProviderError(permit.kind, permit.reason))
        exchange.on_life = permit.alive
        answer: Answer | None = None
        error: ProviderError | None = None
        try:
            heard = await exchange.run(self._transport, request_for(attempt.seat, attempt.request))
            answer = conforming(heard, attempt.seat, attempt.request.response_format)
        except ProviderError as failure:
            error = masked(failure, self._mask)
        except (asyncio.CancelledError, CallerGone):
            if cancel_reason() is CancelReason.NOT_NEEDED:
                error = _NOT_NEEDED
                return self._vote(attempt, facts, "cancelled_early", None, error)
            error = ProviderError(ErrorKind.CANCELLED, "the caller disconnected or stopped reading")
            self._vote(attempt, facts, "client_gone", None, error)
            raise
        except Exception as bug:  # a bug in one adapter must not cost the request its other seats
            structlog.get_logger().exception("attempt_bug", provider=attempt.seat.provider.id)
            error = ProviderError(ErrorKind.INTERNAL, f"internal error: {type(bug).__name__}")
        finally:
            permit.settle(self._ended(attempt, exchange, error))
        return self._vote(attempt, facts, "ok" if answer else "failed", answer, error)

    def _ended(self, attempt: Attempt, exchange: Exchange, error: ProviderError | None) -> Ended:
        usage, _ = _usage(attempt.request, exchange)
        took_s = self._clock.monotonic() - exchange.began
        timeouts = attempt.seat.timeouts
        # A time-out says nothing about the seat if the attempt had less time than a first token may take. Nor does an
        # attempt that was given up because older ones got nothing either: the breaker counts only those older ones,
        # since counting all would open it for longer than a hiccup of a second lasts.
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
        limit = Deadline(
            seat.timeouts,
            began=self._clock.monotonic(),
            deadline=attempt.deadline,
            silence_s=attempt.silence_s,
            stream=stream,
            patience=patience,
        )
        adapter = self._adapters[seat.target.adapter]
        return Exchange(Speaker(seat, attempt.seq), adapter, limit, self._clock, attempt.deliver, stream=stream)

    def _vote(
        self,
        attempt: Attempt,
        facts: _Progress,
        outcome: VoteOutcome,
        answer: Answer | None,
        error: ProviderError | None,
    ) -> Vote:
        now, exchange = self._clock.monotonic(), facts.exchange
        usage, estimated = _usage(attempt.request, exchange)
        vote = Vote(
            vote_id=facts.vote_id,
            request_id=attempt.context.id,
            registry_hash=attempt.context.registry.hash,
            seq=attempt.seq,
            role=attempt.role,
            seat=attempt.seat,
            outcome=outcome,
            created_at=self._clock.wall() - (now - exchange.began),
            duration_ms=(now - exchange.began) * 1000,
            arrival_ms=(now - attempt.context.began) * 1000,
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
            deferred=attempt.deferred and outcome != "client_gone",  # without a caller there will be no decision
        )
        self._publish(vote)
        return vote


def _patience(attempt: Attempt, permit: Permit | Block) -> Patience | None:
    if attempt.may_leave is None or not isinstance(permit, Permit):
        return None
    return Patience(permit.late_s(), permit.in_vain, attempt.may_leave)


def masked(error: ProviderError, mask: Callable[[str], str]) -> ProviderError:
    """The error with secrets masked in the provider's message and code."""
    return ProviderError(
        error.kind,
        mask(error.message),
        status=error.status,
        retry_after_s=error.retry_after_s,
        scope=error.scope,
        code=error.code and mask(error.code),
    )


def _usage(request: ChatRequest, exchange: Exchange) -> tuple[Usage, bool]:
    """The reported usage, or an estimate from the text sent and received, with True if it is estimated.

    A cut stream reports no usage, but its tokens count against limits and budgets all the same.
    """
    if exchange.usage.output_tokens is not None or not exchange.received_chars:
        return exchange.usage, False
    asked = sum(len(message.text) for message in request.messages)
    estimate = Usage(input_tokens=text_tokens(asked), output_tokens=text_tokens(exchange.received_chars))
    return estimate.updated_by(exchange.usage), True
