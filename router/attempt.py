"""One attempt: guards → adapter → transport → Vote. Whatever a provider does ends in a vote, never in an exception."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from adapters.errors import ErrorKind, ProviderError
from adapters.types import Adapter, Answer, ChatRequest, Usage
from router.clock import Clock
from router.exchange import CallerGone, Deliver, Exchange, Timer
from router.forms import asked_of, kept
from router.guards import Guards, Permit
from router.registry.model import Seat
from router.transport import Transport
from router.vote import Outcome, Vote, VoteRole, cost_usd
from router.votes.record import new_id

_CHARS_PER_TOKEN = 3.5  # for answers whose provider reports no usage; such a vote is marked `usage_estimated`


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is to be tried: one seat, one request, until `deadline` (monotonic).

    `silence_s` bounds the wait for the first byte when other seats could still answer in its place. With `deliver` the
    answer is streamed, and every delta the caller may see is handed to it.
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
    deliver: Deliver | None = None


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
        """One try at one seat. Raises only `CancelledError` or `CallerGone`, after the vote has been recorded."""
        exchange = self._exchange(attempt)
        permit = self._guards.admit(attempt.seat)
        if not isinstance(permit, Permit):
            return self._vote(attempt, exchange, "refused", None, ProviderError(permit.kind, permit.reason))
        answer: Answer | None = None
        error: ProviderError | None = None
        try:
            heard = await exchange.run(self._transport, asked_of(attempt.seat, attempt.request))
            answer = kept(heard, attempt.seat, attempt.request.response_format)
        except ProviderError as failure:
            error = _masked(failure, self._mask)
        except (asyncio.CancelledError, CallerGone):
            error = ProviderError(ErrorKind.CANCELLED, "the caller left")
            self._vote(attempt, exchange, "client_gone", None, error)
            raise
        except Exception as bug:  # a bug of ours in one adapter must not cost the request its other seats
            structlog.get_logger().exception("attempt_bug", provider=attempt.seat.provider.id)
            error = ProviderError(ErrorKind.INTERNAL, f"internal error: {type(bug).__name__}")
        finally:
            permit.settle(error, leaked=exchange.leaked)
        return self._vote(attempt, exchange, "ok" if answer else "failed", answer, error)

    def _exchange(self, attempt: Attempt) -> Exchange:
        seat = attempt.seat
        stream = attempt.deliver is not None and not self._guards.leaks(seat)
        timer = Timer(
            seat.timeouts,
            began=self._clock.monotonic(),
            deadline=attempt.deadline,
            silence_s=attempt.silence_s,
            stream=stream,
        )
        adapter = self._adapters[seat.target.adapter]
        return Exchange(seat, adapter, timer, self._clock, attempt.deliver, stream=stream)

    def _vote(
        self,
        attempt: Attempt,
        exchange: Exchange,
        outcome: Outcome,
        answer: Answer | None,
        error: ProviderError | None,
    ) -> Vote:
        now = self._clock.monotonic()
        usage, estimated = _usage(attempt.request, exchange)
        vote = Vote(
            vote_id=new_id(self._clock),
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
            connect_ms=exchange.connect_ms,
            first_token_ms=exchange.first_token_ms,
            provider_request_id=exchange.provider_request_id,
            response_model=exchange.response_model,
            sent=exchange.sent,
            stream=attempt.deliver is not None,
            committed=exchange.committed,
        )
        self._record(vote)
        return vote


def _masked(error: ProviderError, mask: Callable[[str], str]) -> ProviderError:
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
