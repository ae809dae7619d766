"""The last stage of council and synthesize-best: one seat, the chair, writes the answer from what the others wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from adapters.types import ChatRequest, Message, Text, ToolChoice
from router.calls.calls import Calls
from router.core.decision import Choice, Mark
from router.core.plan import Plan
from router.core.registry import Seat
from router.core.stages import AnswerWritten, ChairAsked
from router.core.vote import Vote
from router.strategies.fusion.drafting import StageSummary
from router.strategies.table import MAX_CHAIRS

_SPARE_S = 0.3  # of the deadline, for handing out the best draft when every chair was silent


def chairs(plan: Plan, votes: Sequence[Vote]) -> tuple[Seat, ...]:
    """The seats that may write the answer, best first; authors of drafts come last, since one finds its own the best.

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
        calls.tell(ChairAsked(seat.provider.id, seat.model.id))
    choice = await calls.answer(seats, request=request, role="chair", spare_s=_SPARE_S)
    if choice.winner is not None:
        first = choice.winner.seat.id == seats[0].id
        return choice if first else replace(choice, flags=(*choice.flags, "chair_replaced"))
    if any(vote.committed for vote in calls.votes):
        return choice
    await calls.deliver(best_draft)
    return Choice(winner=best_draft, flags=("chair_failed",))


def chair_stage(calls: Calls, began_s: float) -> StageSummary:
    """The stage that began when so many seconds were left; it is told too."""
    votes = [vote for vote in calls.votes if vote.role == "chair"]
    stage = StageSummary.of("chair", votes, began_s - calls.remaining_s())
    calls.tell(AnswerWritten(stage.calls, stage.ms))
    return stage


def chair_marks(choice: Choice) -> dict[str, Mark]:
    """The mark of the chair's answer: it counts if the caller got it."""
    winner = choice.winner
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
