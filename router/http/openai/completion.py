"""A decision as OpenAI's `chat.completion`, with a `quorum` object that explains how the answer was reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.types import Answer, ToolCall, Usage
from router.core.context import RequestContext
from router.core.decision import Decision, Mark
from router.core.vote import Vote
from router.http.openai.reasoning_details import sealed


def completion(context: RequestContext, winner: Vote, quorum: Mapping[str, Any]) -> dict[str, Any]:
    """The whole answer as a `chat.completion` object."""
    answer = winner.answer
    assert answer is not None
    content = None if answer.tool_calls and not answer.text else answer.text
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": answer.refusal or None}
    if answer.tool_calls:
        message["tool_calls"] = [tool_call(call) for call in answer.tool_calls]
    if answer.reasoning_details:
        message["reasoning_details"] = sealed(answer.reasoning_details)
    if context.options.include_reasoning and answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    return {
        "id": completion_id(context.id),
        "object": "chat.completion",
        "created": int(context.created_at),
        "model": model_of(winner),
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish_reason}],
        "usage": usage(winner.usage),
        "quorum": quorum,
    }


def completion_id(request_id: str) -> str:
    """The id that clients see: OpenAI's prefix, then the request's own id."""
    return f"chatcmpl-{request_id}"


def model_of(vote: Vote) -> str:
    """The model that answered, as its provider names it."""
    return vote.response_model or vote.seat.model.id


def tool_call(call: ToolCall) -> dict[str, Any]:
    """A tool call in OpenAI's format.

    A thought signature goes where Gemini's OpenAI-compatible endpoint puts it, so that clients made for that endpoint
    return it.
    """
    wire: dict[str, Any] = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }
    if call.signature:
        wire["extra_content"] = {"google": {"thought_signature": call.signature}}
    return wire


def usage(tokens: Usage) -> dict[str, Any]:
    """OpenAI's usage object; a count that the provider did not report is 0, since OpenAI's SDKs expect integers."""
    given, made = tokens.input_tokens or 0, tokens.output_tokens or 0
    return {
        "prompt_tokens": given,
        "completion_tokens": made,
        "total_tokens": given + made,
        "prompt_tokens_details": {"cached_tokens": tokens.cached_tokens or 0},
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning_tokens or 0},
    }


def quorum_object(context: RequestContext, decision: Decision, dropped: tuple[str, ...]) -> dict[str, Any]:
    """How the answer was reached; with `explain` also every vote and every excluded seat."""
    choice, spent, options = decision.choice, decision.spent, decision.plan.options
    told: dict[str, Any] = {
        "request_id": context.id,
        "strategy": options.strategy,
        "tier": options.tier,
        "provider": choice.winner.seat.provider.id if choice.winner else None,
        "registry": context.registry.short_hash,
        "attempts": len(decision.votes),
        "votes_cast": spent.ok,
        "votes_planned": choice.votes_planned,
        "agreement": None if choice.agreement is None else round(choice.agreement, 4),
        "quorum_met": choice.quorum_met,
        "low_confidence": choice.low_confidence,
        "cost_usd": None if spent.cost_usd is None else round(spent.cost_usd, 9),
        "total_usage": {"input_tokens": spent.input_tokens, "output_tokens": spent.output_tokens},
    }
    if choice.answer_key is not None:
        told["answer_key"] = choice.answer_key
    if choice.flags:
        told["flags"] = list(choice.flags)
    if dropped:
        told["dropped"] = list(dropped)
    if options.explain:
        told["votes"] = [explained(vote, choice.marks.get(vote.vote_id)) for vote in decision.votes]
        told.update(choice.details)
        told["excluded"] = [exclusion.as_dict() for exclusion in decision.plan.excluded]
    return told


def explained(vote: Vote, mark: Mark | None = None) -> dict[str, Any]:
    """One vote as `explain` shows it; `mark` adds its answer key and whether it was counted and agreed."""
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
