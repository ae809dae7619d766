"""Turns events into rows of the vote log: one row per vote, request, state change and registry."""

from __future__ import annotations

import hashlib
import os
from typing import Protocol

import orjson

from adapters.types import Answer
from router.core.clock import Clock, utc
from router.core.decision import Mark, RequestEnded
from router.core.events import RegistryLoaded, StateChange
from router.core.ids import new_id
from router.core.vote import Vote
from router.votelog.rows import PayloadRow, RegistryRow, RequestRow, Row, StateChangeRow, VoteRow


class Log(Protocol):
    """Accepts rows; `append` neither blocks nor raises."""

    def append(self, row: Row) -> None: ...


class Recorder:
    """Writes a row per event; a deferred vote is written with its request, when its part in the decision is known."""

    def __init__(self, log: Log, clock: Clock, *, replica: str, keep_payloads: bool) -> None:
        self._log = log
        self._clock = clock
        self._replica = replica
        self._keep_payloads = keep_payloads
        self._registry_hash: str | None = None
        self._hashed: tuple[Answer | None, str | None] = (None, None)  # the last answer and its hash

    def vote(self, vote: Vote) -> None:
        """One attempt has ended."""
        ok = vote.outcome == "ok"
        if not vote.deferred:
            self._log.append(self._vote_row(vote, Mark(counted=ok), winner=ok and vote.role == "answer"))
        if self._keep_payloads and vote.answer is not None:
            self._log.append(_payload(vote.request_id, vote.vote_id, vote.created_at, "out", orjson.dumps(vote.answer)))

    def request(self, ended: RequestEnded) -> None:
        """One request has ended, whatever its outcome; its deferred votes are written with their marks."""
        context, choice = ended.context, ended.decision.choice
        self._log.append(self._request_row(ended))
        for vote in ended.decision.votes:
            if vote.deferred:
                won = choice.winner is not None and vote.vote_id == choice.winner.vote_id
                mark = choice.marks.get(vote.vote_id, Mark(counted=won))
                self._log.append(self._vote_row(vote, mark, winner=won))
        if self._keep_payloads:
            self._log.append(_payload(context.id, None, context.created_at, "in", context.body))

    def state_change(self, change: StateChange) -> None:
        """The state of a provider or model has changed."""
        provider, _, model = change.subject.partition("/")
        self._log.append(
            StateChangeRow(
                change_id=new_id(self._clock),
                created_at=utc(self._clock.wall()),
                provider=provider,
                model=model or None,
                state=change.state,
                reason=change.reason,
                until=None if change.until is None else utc(change.until),
                loud=change.loud,
                replica=self._replica,
                registry_hash=self._registry_hash,
            )
        )

    def registry(self, loaded: RegistryLoaded) -> None:
        """Another registry is in force: later rows refer to it by its hash."""
        registry = loaded.registry
        self._registry_hash = registry.hash
        self._log.append(
            RegistryRow(
                registry_hash=registry.hash,
                loaded_at=utc(self._clock.wall()),
                document=registry.document,
                source=os.path.basename(registry.source),
            )
        )

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
            valid=vote.outcome == "ok" if mark.valid is None else mark.valid,
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

    def _request_row(self, ended: RequestEnded) -> RequestRow:
        context, decision = ended.context, ended.decision
        choice, spent, options = decision.choice, decision.spent, decision.plan.options
        winner = choice.winner
        return RequestRow(
            request_id=context.id,
            created_at=utc(context.created_at),
            completed_at=utc(context.created_at + ended.duration_ms / 1000),
            api=context.api,
            strategy=options.strategy,
            tier=options.tier,
            request_model=context.request_model,
            response_model=winner.response_model if winner else None,
            provider=winner.seat.provider.id if winner else None,
            outcome=ended.outcome,
            error_type=choice.error.kind if choice.error else None,
            http_status=ended.http_status,
            stream=context.stream,
            duration_ms=ended.duration_ms,
            first_token_ms=ended.first_token_ms,
            overhead_ms=ended.overhead_ms,
            input_tokens=spent.input_tokens,
            output_tokens=spent.output_tokens,
            cost_usd=spent.cost_usd,
            votes_planned=choice.votes_planned,
            votes_cast=spent.ok,
            votes_counted=choice.votes_counted,
            agreement=choice.agreement,
            margin=choice.margin,
            tie=choice.tie,
            quorum_met=choice.quorum_met,
            answer_key=choice.answer_key,
            answer_sha256=self._sha256(choice.answer),
            rule={"strategy": options.strategy, "council_size": options.council_size, **choice.rule},
            seed=choice.seed,
            excluded=[exclusion.as_dict() for exclusion in decision.plan.excluded],
            caller=context.caller,
            end_user=options.end_user,
            tags=dict(options.tags),
            trace_id=context.trace,
            registry_hash=context.registry.hash,
            replica=self._replica,
        )

    def _sha256(self, answer: Answer | None) -> str | None:
        """The hash of an answer; the last one is kept, since a request's answer is mostly that of its last vote."""
        if answer is not self._hashed[0]:
            self._hashed = answer, _sha256(answer)
        return self._hashed[1]


def _sha256(answer: Answer | None) -> str | None:
    """The SHA-256 of an answer's text, or of its tool calls if it has no text; equal answers have equal hashes."""
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
