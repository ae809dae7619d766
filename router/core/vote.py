"""A vote: the full record of one attempt on one seat, made once, when the attempt has ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from adapters.errors import ErrorKind, ProviderError
from adapters.types import NO_USAGE, Answer, Usage
from router.core.registry import Price, Seat

VoteOutcome = Literal["ok", "failed", "cancelled_early", "client_gone", "refused"]
VoteRole = Literal["answer", "draft", "ballot", "chair", "judge", "probe", "hedge", "shadow"]


@dataclass(frozen=True, slots=True)
class Vote:
    """One attempt, whatever its outcome.

    `created_at` is when the attempt began, in Unix time; fields that end in `_ms` are durations, `arrival_ms` counts
    from the start of the request. `status` is the provider's HTTP status. `sent` is False when nothing was sent to the
    provider, so that it costs nothing there. `committed` is True when the caller has received part of the answer: from
    then on no other seat can take over unnoticed. The row of a `deferred` vote is written with its request's, once the
    decision says what the vote counted for.
    """

    vote_id: str
    request_id: str
    registry_hash: str
    seq: int
    role: VoteRole
    seat: Seat
    outcome: VoteOutcome
    created_at: float
    duration_ms: float
    arrival_ms: float
    answer: Answer | None = None
    error: ProviderError | None = None
    status: int | None = None
    usage: Usage = NO_USAGE
    usage_estimated: bool = False
    cost_usd: float | None = None
    queue_ms: float | None = None
    connect_ms: float | None = None
    first_token_ms: float | None = None
    provider_request_id: str | None = None
    response_model: str | None = None
    sent: bool = False
    stream: bool = False
    committed: bool = False
    ballot: Mapping[str, Any] | None = None
    deferred: bool = False

    @property
    def ok(self) -> bool:
        """True if the attempt ended with an answer."""
        return self.outcome == "ok"

    @property
    def error_type(self) -> ErrorKind | None:
        """The kind of failure, None for an attempt without an error."""
        return self.error.kind if self.error else None


def cost_usd(price: Price | None, usage: Usage) -> float | None:
    """The cost of a call in US dollars, by the registry's price; cached input counts as input if it has no own price.

    None if the registry has no price for the model, or the provider reported no tokens.
    """
    if price is None or usage.input_tokens is None:
        return None
    cached = min(usage.cached_tokens or 0, usage.input_tokens)
    cached_price = price.input if price.cached_input is None else price.cached_input
    fresh = usage.input_tokens - cached
    return (fresh * price.input + cached * cached_price + (usage.output_tokens or 0) * price.output) / 1_000_000


@dataclass(frozen=True, slots=True)
class Spent:
    """The sums over some votes: `ok` counts answers; `cost_usd` is None where no vote's cost is known."""

    ok: int
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    duration_ms: float


def spent(votes: Iterable[Vote]) -> Spent:
    """The sums over votes; unknown tokens and costs count as 0 beside known ones."""
    ok, given, made, duration_ms = 0, 0, 0, 0.0
    cost: float | None = None
    for vote in votes:
        ok += vote.outcome == "ok"
        given += vote.usage.input_tokens or 0
        made += vote.usage.output_tokens or 0
        duration_ms += vote.duration_ms
        if vote.cost_usd is not None:
            cost = (cost or 0.0) + vote.cost_usd
    return Spent(ok, given, made, cost, duration_ms)
