"""Where finished things are told, once each: a vote is one row, one metric sample and one charge; so is a request."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal, Protocol

import orjson
import structlog

from adapters.types import Answer
from router.core.clock import utc
from router.core.decision import Choice, Mark
from router.core.plan import Plan
from router.core.vote import Vote, spent
from router.observe.metrics import Telemetry
from router.observe.model_mismatch import is_rerouted
from router.votelog.rows import PayloadRow, RequestRow, Row, VoteRow

RequestOutcome = Literal["ok", "failed", "client_gone"]


class Log(Protocol):
    """What takes rows: it neither waits nor fails."""

    def append(self, row: Row) -> None: ...


@dataclass(frozen=True, slots=True)
class Finished:
    """A request that has ended, with all that is known of it."""

    request_id: str
    created_at: float
    duration_ms: float
    outcome: RequestOutcome
    http_status: int
    request_model: str
    stream: bool
    plan: Plan
    votes: tuple[Vote, ...]
    decision: Choice
    body: bytes


class Recorder:
    """Tells the vote log, the metrics and the log what happened."""

    def __init__(self, *, log: Log, telemetry: Telemetry, replica: str, keep_payloads: bool) -> None:
        self._log = log
        self._telemetry = telemetry
        self._replica = replica
        self._keep_payloads = keep_payloads
        self._rerouted: dict[str, str | None] = {}  # seat id → the other model that answered last
        self._hashed: tuple[Answer | None, str | None] = (None, None)  # the last answer, and its hash
        self._say = structlog.get_logger().bind()  # once, since binding costs more than a line

    def vote(self, vote: Vote) -> None:
        """One attempt has ended."""
        ok = vote.ok
        if not vote.deferred:
            self._log.append(self._vote_row(vote, Mark(counted=ok), winner=ok and vote.role == "answer"))
        if self._keep_payloads and vote.answer is not None:
            self._log.append(_payload(vote.request_id, vote.vote_id, vote.created_at, "out", orjson.dumps(vote.answer)))
        if ok:
            self._notice_rerouting(vote)
        seat, telemetry = vote.seat, self._telemetry
        provider, model = seat.provider.id, seat.model.id
        telemetry.votes(provider, model, vote.role, vote.outcome, vote.error_type or "").inc()
        telemetry.vote_seconds(provider, model).observe(vote.duration_ms / 1000)
        for direction, tokens in (("input", vote.usage.input_tokens), ("output", vote.usage.output_tokens)):
            if tokens:
                telemetry.tokens(provider, model, direction).inc(tokens)
        if vote.cost_usd:
            telemetry.cost_usd(provider, model).inc(vote.cost_usd)

    def request(self, finished: Finished) -> None:
        """One request has ended, whatever came of it."""
        row = self._request_row(finished)
        self._log.append(row)
        decision = finished.decision
        for vote in finished.votes:
            if vote.deferred:
                won = decision.winner is not None and vote.vote_id == decision.winner.vote_id
                mark = decision.marks.get(vote.vote_id, Mark(counted=won))
                self._log.append(self._vote_row(vote, mark, winner=won))
        if self._keep_payloads:
            self._log.append(_payload(finished.request_id, None, finished.created_at, "in", finished.body))
        telemetry, options = self._telemetry, finished.plan.options
        telemetry.requests(options.strategy, options.tier, finished.outcome).inc()
        telemetry.request_seconds(options.strategy, options.tier).observe(finished.duration_ms / 1000)
        telemetry.overhead_seconds.observe((row.overhead_ms or 0.0) / 1000)
        if row.first_token_ms is not None:
            telemetry.first_token_seconds(options.strategy, options.tier).observe(row.first_token_ms / 1000)
        self._say.info(
            "request",
            request_id=finished.request_id,
            status=finished.http_status,
            outcome=finished.outcome,
            strategy=options.strategy,
            tier=options.tier,
            provider=row.provider,
            model=row.response_model,
            attempts=len(finished.votes),
            error_type=row.error_type,
            ms=round(finished.duration_ms),
            cost_usd=row.cost_usd,
        )

    def _notice_rerouting(self, vote: Vote) -> None:
        other = vote.response_model if is_rerouted(vote.seat.model.id, vote.response_model) else None
        if other is not None and other != self._rerouted.get(vote.seat.id):
            self._say.warning("rerouted", asked=vote.seat.id, served=other)
        self._rerouted[vote.seat.id] = other

    def _vote_row(self, vote: Vote, mark: Mark, *, winner: bool) -> VoteRow:
        seat, error = vote.seat, vote.error
        return VoteRow(
            vote_id=vote.vote_id,
            request_id=vote.request_id,
            created_at=utc(vote.created_at),
            seq=vote.seq,
            role=vote.role,
            provider=seat.provider.id,
            model=seat.model.id,
            response_model=vote.response_model,
            adapter=seat.provider.adapter,
            family=seat.model.family,
            weight=seat.model.weight if mark.weight is None else mark.weight,
            outcome=vote.outcome,
            error_type=vote.error_type,
            http_status=vote.status,
            error_message=error.message if error else None,
            retry_after_ms=None if error is None or error.retry_after_s is None else error.retry_after_s * 1000,
            queue_ms=vote.queue_ms,
            connect_ms=vote.connect_ms,
            first_token_ms=vote.first_token_ms,
            duration_ms=vote.duration_ms,
            input_tokens=vote.usage.input_tokens,
            cached_tokens=vote.usage.cached_tokens,
            output_tokens=vote.usage.output_tokens,
            reasoning_tokens=vote.usage.reasoning_tokens,
            usage_estimated=vote.usage_estimated,
            cost_usd=vote.cost_usd,
            finish_reason=vote.answer.finish_reason if vote.answer else None,
            answer_key=mark.answer_key,
            answer_sha256=self._sha256(vote.answer),
            ballot=mark.ballot or vote.ballot,
            valid=vote.ok if mark.valid is None else mark.valid,
            counted=mark.counted,
            agreed=mark.agreed,
            winner=winner,
            arrival_ms=vote.arrival_ms,
            sent=vote.sent,
            stream=vote.stream,
            provider_request_id=vote.provider_request_id,
            registry_hash=vote.registry_hash,
            replica=self._replica,
        )

    def _request_row(self, finished: Finished) -> RequestRow:
        decision, winner, options = finished.decision, finished.decision.winner, finished.plan.options
        whole = spent(finished.votes)
        return RequestRow(
            request_id=finished.request_id,
            created_at=utc(finished.created_at),
            completed_at=utc(finished.created_at + finished.duration_ms / 1000),
            api="chat",
            strategy=options.strategy,
            tier=options.tier,
            request_model=finished.request_model,
            response_model=winner.response_model if winner else None,
            provider=winner.seat.provider.id if winner else None,
            outcome=finished.outcome,
            error_type=decision.error.kind if decision.error else None,
            http_status=finished.http_status,
            stream=finished.stream,
            duration_ms=finished.duration_ms,
            first_token_ms=_first_token_ms(winner),
            overhead_ms=max(0.0, finished.duration_ms - whole.duration_ms),
            input_tokens=whole.input_tokens,
            output_tokens=whole.output_tokens,
            cost_usd=whole.cost_usd,
            votes_planned=decision.votes_planned,
            votes_cast=whole.ok,
            votes_counted=decision.votes_counted,
            agreement=decision.agreement,
            margin=decision.margin,
            tie=decision.tie,
            quorum_met=decision.quorum_met,
            answer_key=decision.answer_key,
            answer_sha256=self._sha256(decision.answer),
            rule={"strategy": options.strategy, "council_size": options.council_size, **decision.rule},
            seed=decision.seed,
            excluded=[exclusion.as_dict() for exclusion in finished.plan.excluded],
            end_user=options.end_user,
            tags=dict(options.tags),
            registry_hash=finished.plan.registry.hash,
            replica=self._replica,
        )

    def _sha256(self, answer: Answer | None) -> str | None:
        """The hash of an answer; that of the last one is known, since a request mostly ends with its last vote's."""
        if answer is not self._hashed[0]:
            self._hashed = answer, _sha256(answer)
        return self._hashed[1]


def _first_token_ms(winner: Vote | None) -> float | None:
    if winner is None or winner.first_token_ms is None:
        return None
    return winner.arrival_ms - winner.duration_ms + winner.first_token_ms


def _sha256(answer: Answer | None) -> str | None:
    """What two equal answers share: their text, or their tool calls where they have no text."""
    if answer is None:
        return None
    said = answer.text or orjson.dumps([(call.name, call.arguments) for call in answer.tool_calls]).decode()
    return hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()


def _payload(request_id: str, vote_id: str | None, created_at: float, direction: str, body: bytes) -> PayloadRow:
    return PayloadRow(
        request_id=request_id,
        vote_id=vote_id,
        created_at=utc(created_at),
        direction=direction,
        body=body,
        redacted=False,
    )
