"""The last stage of every strategy that fuses: one seat writes the answer from what the others wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from adapters.types import ChatRequest, Message, Text, ToolChoice
from router.calls.calls import Calls
from router.core.decision import Choice, Mark
from router.core.plan import Plan
from router.core.registry import Seat
from router.core.vote import Vote
from router.strategies.fusion.drafting import Stage

_SPARE_S = 0.3  # of the deadline, for handing out the best draft when every chair was silent
MAX_CHAIRS = 3  # one, and up to two others if it fails before its first byte


def chairs(plan: Plan, votes: Sequence[Vote]) -> tuple[Seat, ...]:
    """Who may write the answer, best first: those of the plan that wrote no draft, since one finds its own the best.

    A seat that has just failed is not asked again.
    """
    failed = {vote.seat.id for vote in votes if not vote.ok}
    wrote = {vote.seat.id for vote in votes if vote.ok}
    able = sorted((seat for seat in plan.chairs if seat.id not in failed), key=lambda seat: seat.id in wrote)
    return tuple(able[:MAX_CHAIRS])


async def written(calls: Calls, seats: Sequence[Seat], request: ChatRequest, best_draft: Vote) -> Choice:
    """The answer of the first chair that gives one, streamed if the caller wants that; else the best draft, flagged.

    Without an answer and with part of one already out, the error is the caller's: nothing can replace what it has read.
    """
    for seat in seats[:1]:
        calls.tell("chair", provider=seat.provider.id, model=seat.model.id)
    decision = await calls.answer(seats, request=request, role="chair", spare_s=_SPARE_S)
    if decision.winner is not None:
        first = decision.winner.seat.id == seats[0].id
        return decision if first else replace(decision, flags=(*decision.flags, "chair_replaced"))
    if any(vote.committed for vote in calls.votes):
        return decision
    await calls.deliver(best_draft)
    return Choice(winner=best_draft, flags=("chair_failed",))


def chair_stage(calls: Calls, began_s: float) -> Stage:
    """The stage that began when so many seconds were left, told to whoever watches."""
    stage = Stage.of("chair", [vote for vote in calls.votes if vote.role == "chair"], began_s - calls.remaining_s())
    calls.tell("written", calls=stage.calls, ms=stage.ms)
    return stage


def chair_marks(decision: Choice) -> dict[str, Mark]:
    """What is noted of the chair's answer: it counts if the caller got it."""
    winner = decision.winner
    return {winner.vote_id: Mark(counted=True)} if winner is not None and winner.role == "chair" else {}


def chair_request(request: ChatRequest, material: str) -> ChatRequest:
    """The caller's own request with the material below its last message, and without tools to call.

    The caller's system prompt, images, parameters and form of answer hold for the chair as they did for the drafts.
    """
    last = request.messages[-1]
    if last.role == "user":
        messages = (*request.messages[:-1], replace(last, content=(*last.content, Text(f"\n\n{material}"))))
    else:
        messages = (*request.messages, Message("user", (Text(material),)))
    # Some providers refuse a conversation with tool calls in it when no tools are named.
    keeps_tools = bool(request.tools) and any(message.tool_calls for message in request.messages)
    return replace(
        request,
        messages=messages,
        tools=request.tools if keeps_tools else (),
        tool_choice=ToolChoice("none") if keeps_tools else None,
        params={name: value for name, value in request.params.items() if name != "parallel_tool_calls"},
    )
