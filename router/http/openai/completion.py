"""The wire out: a decision as OpenAI's `chat.completion`, with the `quorum` object that tells how it came about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from adapters.types import Answer, ToolCall, Usage
from router.core.decision import Choice, Mark
from router.core.plan import Plan
from router.core.vote import Vote, spent
from router.http.openai.reasoning_details import sealed


def completion(
    request_id: str, created: int, decision: Choice, plan: Plan, quorum: Mapping[str, Any]
) -> dict[str, Any]:
    """The whole answer as a `chat.completion` object."""
    answer, winner = decision.answer, decision.winner
    assert answer is not None
    assert winner is not None
    content = None if answer.tool_calls and not answer.text else answer.text
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": answer.refusal or None}
    if answer.tool_calls:
        message["tool_calls"] = [tool_call(call) for call in answer.tool_calls]
    if answer.reasoning_details:
        message["reasoning_details"] = sealed(answer.reasoning_details)
    if plan.options.include_reasoning and answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    return {
        "id": completion_id(request_id),
        "object": "chat.completion",
        "created": created,
        "model": model_of(winner),
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish_reason}],
        "usage": usage(winner.usage),
        "quorum": quorum,
    }


def completion_id(request_id: str) -> str:
    """The id clients see; the request's own id stands inside it."""
    return f"chatcmpl-{request_id}"


def model_of(vote: Vote) -> str:
    """The model that answered, as its provider names it."""
    return vote.response_model or vote.seat.model.id


def tool_call(call: ToolCall) -> dict[str, Any]:
    """A tool call on OpenAI's wire; a signature travels where Gemini's OpenAI surface has it, and so comes back."""
    wire: dict[str, Any] = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }
    if call.signature:
        wire["extra_content"] = {"google": {"thought_signature": call.signature}}
    return wire


def usage(tokens: Usage) -> dict[str, Any]:
    """OpenAI's usage object; a side the provider did not report counts as 0."""
    given, made = tokens.input_tokens or 0, tokens.output_tokens or 0
    return {
        "prompt_tokens": given,
        "completion_tokens": made,
        "total_tokens": given + made,
        "prompt_tokens_details": {"cached_tokens": tokens.cached_tokens or 0},
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning_tokens or 0},
    }


def quorum_object(
    request_id: str, decision: Choice, plan: Plan, votes: Sequence[Vote], dropped: tuple[str, ...]
) -> dict[str, Any]:
    """How the answer came about; with `explain` also every vote and every seat that was left out."""
    whole = spent(votes)
    told: dict[str, Any] = {
        "request_id": request_id,
        "strategy": plan.options.strategy,
        "tier": plan.options.tier,
        "provider": decision.winner.seat.provider.id if decision.winner else None,
        "registry": plan.registry.short_hash,
        "attempts": len(votes),
        "votes_cast": whole.ok,
        "votes_planned": decision.votes_planned,
        "agreement": None if decision.agreement is None else round(decision.agreement, 4),
        "quorum_met": decision.quorum_met,
        "low_confidence": decision.low_confidence,
        "cost_usd": None if whole.cost_usd is None else round(whole.cost_usd, 9),
        "total_usage": {"input_tokens": whole.input_tokens, "output_tokens": whole.output_tokens},
    }
    if decision.answer_key is not None:
        told["answer_key"] = decision.answer_key
    if decision.flags:
        told["flags"] = list(decision.flags)
    if dropped:
        told["dropped"] = list(dropped)
    if plan.options.explain:
        told["votes"] = [explained(vote, decision.marks.get(vote.vote_id)) for vote in votes]
        told.update(decision.details)
        told["excluded"] = [exclusion.as_dict() for exclusion in plan.excluded]
    return told


def explained(vote: Vote, mark: Mark | None = None) -> dict[str, Any]:
    """One vote as `explain` shows it, with what it counted for where votes were counted."""
    answer = vote.answer or Answer()
    counted = {} if mark is None else {"answer_key": mark.answer_key, "counted": mark.counted, "agreed": mark.agreed}
    return {
        **counted,
        "vote_id": vote.vote_id,
        "seq": vote.seq,
        "role": vote.role,
        "provider": vote.seat.provider.id,
        "model": vote.seat.model.id,
        "response_model": vote.response_model,
        "outcome": vote.outcome,
        "error_type": vote.error_type,
        "error_message": vote.error.message if vote.error else None,
        "status": vote.status,
        "ms": round(vote.duration_ms),
        "first_token_ms": None if vote.first_token_ms is None else round(vote.first_token_ms),
        "input_tokens": vote.usage.input_tokens,
        "output_tokens": vote.usage.output_tokens,
        "cost_usd": vote.cost_usd,
        "text": answer.text if vote.answer else None,
    }


def route_headers(
    request_id: str, plan: Plan, attempts: int, provider: str | None, model: str | None, dropped: Iterable[str] = ()
) -> dict[str, str]:
    """The headers that every answer carries once its facts are known."""
    headers = {
        "X-Request-Id": request_id,
        "X-Quorum-Strategy": plan.options.strategy,
        "X-Quorum-Tier": plan.options.tier,
        "X-Quorum-Attempts": str(attempts),
        "X-Quorum-Registry": plan.registry.short_hash,
    }
    if provider is not None:
        headers["X-Quorum-Provider"] = provider
    if model is not None:
        headers["X-Quorum-Model"] = _safe(model, 128)
    if dropped:
        headers["X-Quorum-Dropped-Params"] = _safe(", ".join(dropped), 512)
    return headers


def _safe(text: str, limit: int) -> str:
    """What comes from outside, as far as it is safe in a header."""
    cut = text[:limit]
    if cut.isascii() and cut.isprintable():
        return cut
    return "".join(char for char in cut if char.isascii() and char.isprintable())
